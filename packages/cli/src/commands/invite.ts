/** `volary invite`: links that let volunteers help a job with their browsers, or observers watch it. */
import { userInfo } from "node:os";
import { Command, InvalidArgumentError, Option } from "commander";
import { plural } from "@volary/core/figures";
import { invitedRoleSchema, type InvitedRole } from "@volary/core/job";
import { Cluster } from "../cluster/cluster.ts";
import { insecureWarning, type JoinLinks } from "../cluster/invitation.ts";
import { coordinatorOption, example, urlOf } from "../options.ts";
import { plainText } from "../screen/terminal-text.ts";

interface Options {
  coordinator: string;
  role: InvitedRole;
  for: number;
  uses: number;
  trusted?: true;
  by?: string;
  about?: string;
  gateway?: string;
  json?: true;
}

const MS_OF = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export function inviteCommand(): Command {
  return new Command("invite")
    .description("make links that let volunteers help a job with their browsers, or observers watch it")
    .argument("[job]", "number or name, as `volary status` shows it (default: the one that is under way)")
    .addOption(coordinatorOption())
    .addOption(
      new Option("--role <role>", "of whoever opens a link: to compute, or to watch how training goes")
        .choices(invitedRoleSchema.options)
        .default("volunteer"),
    )
    .addOption(
      new Option("--for <time>", "how long the links are good, as 90s, 30m, 8h or 2d")
        .argParser(timeOf)
        .default(30 * MS_OF.m, "30m"),
    )
    .option("--uses <count>", "links, each good for one person", usesOf, 1)
    .option("--trusted", "volunteers trust each other: they may connect directly, and nothing they send is clipped")
    .option("--by <who>", "who asks, for volunteers to read (default: the name you are logged in by)")
    .option("--about <text>", "for what, for volunteers to read")
    .option("--gateway <url>", "https://host of the gateway, if not as the cluster knows it", urlOf)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      example(
        'volary invite --by "Ada" --about "Which flights are late?"',
        'volary invite --role observer --for 1d --by "Ada"',
        "volary invite flights --uses 20 --for 8h --json | jq -r '.links[]'",
      ),
    )
    .action(run);
}

async function run(job: string | undefined, options: Options): Promise<void> {
  const { coordinator, role, for: forMs, uses, trusted, by = userName(), about, gateway, json } = options;
  const cluster = await Cluster.connect(coordinator);
  try {
    const invited = await cluster.invite({ job, role, uses, forMs, trusted, by, about, gateway });
    const until = new Date(Date.now() + invited.validMs);
    const warning = insecureWarning(invited.links[0]!);
    if (json) {
      const { links, name } = invited;
      console.log(JSON.stringify({ job: invited.job, name, links, until: until.toISOString(), warning }));
    } else console.log(await inviteText(invited, { role, until }));
    if (warning !== undefined && !json) console.error(`\nvolary: ${warning}`);
  } finally {
    await cluster.stop();
  }
}

/** The links and until when they are good; one alone also as a code for phones. */
export async function inviteText(
  { name, links }: JoinLinks,
  { role, until }: { role: InvitedRole; until: Date },
): Promise<string> {
  const what = role === "observer" ? `watch ${plainText(name)} train` : `help train ${plainText(name)}`;
  const good = `good until ${until.toLocaleString()}, ${links.length === 1 ? "once" : "each once"}`;
  const lines = [`${plural(links.length, role)} may ${what}; ${good}`, "", ...links];
  if (links.length > 1) return lines.join("\n");
  const { renderUnicodeCompact } = await import("uqr");
  return [...lines, "", renderUnicodeCompact(links[0]!)].join("\n");
}

/** In milliseconds. */
export function timeOf(text: string): number {
  const [, number = "", unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const ms = Number(number) * MS_OF[(unit || "s") as keyof typeof MS_OF];
  if (number !== "" && ms > 0 && ms <= 30 * MS_OF.d) return ms;
  throw new InvalidArgumentError("Give a time up to 30d, as 90s, 30m, 8h or 2d.");
}

function usesOf(text: string): number {
  const uses = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (uses >= 1 && uses <= 10_000) return uses;
  throw new InvalidArgumentError("Give a whole number from 1 to 10000.");
}

/** Of a process that may have no name, as in a container. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return "";
  }
}
