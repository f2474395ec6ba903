/**
 * The flights data and the fields both models of the demo read: nine plain ones, and crosses of two and three.
 *
 * `date` is the *actual* departure, so the question is put at departure: will this flight arrive 15 minutes late or
 * more? Crosses of a route with the clock know the schedule: leaving at 18:50 what always leaves at 18:00 is late.
 */
import {
  atLeast,
  bucket,
  cross,
  dayOfMonth,
  dayOfWeek,
  hourOf,
  minuteOfDay,
  monthOf,
  npmFile,
  parquet,
  since,
  slotOf,
} from "@volary/core";

const hour = hourOf("date");
const slot = slotOf("date");
const weekday = dayOfWeek("date");
const month = monthOf("date");

export const fields = {
  origin: "origin",
  destination: "destination",
  route: cross("origin", "destination"),
  hour,
  slot,
  minute: minuteOfDay("date"),
  weekday,
  month,
  monthday: dayOfMonth("date"),
  distance: bucket("distance", 50),

  weekdayHour: cross(weekday, hour),
  originHour: cross("origin", hour),
  destinationHour: cross("destination", hour),
  routeHour: cross("origin", "destination", hour),
  originWeekday: cross("origin", weekday),
  destinationWeekday: cross("destination", weekday),
  routeWeekday: cross("origin", "destination", weekday),
  originWeekdayHour: cross("origin", weekday, hour),
  destinationWeekdayHour: cross("destination", weekday, hour),
  originMonth: cross("origin", month),
  destinationMonth: cross("destination", month),
  originSlot: cross("origin", slot),
  destinationSlot: cross("destination", slot),
  routeSlot: cross("origin", "destination", slot),
};

export const data = parquet(npmFile("vega-datasets/data/flights-3m.parquet"), {
  fields,
  label: atLeast("delay", 15),
  test: since("date", "2001-06-13T08:02"),
});
