/**
 * @file Imported before all else by every entry: its policy forbids code that is made of text. zod looks at this as it
 * makes each schema, so a call after the imports would come too late; then it tries whether it may, and the browser
 * reports a violation.
 */
(globalThis as { __zod_globalConfig?: { jitless: boolean } }).__zod_globalConfig = { jitless: true };
