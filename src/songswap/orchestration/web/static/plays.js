// Plays an hour and plays a day, for the chart.

import { count, counted, day, hour, instant, isNumber, localHour, weekday } from "./format.js";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** The plays of each hour by its beginning in milliseconds. */
export function byHour(rows) {
  const found = new Map();
  for (const row of Array.isArray(rows) ? rows : []) {
    const at = instant(row?.hour);
    if (at !== null && isNumber(row.plays)) found.set(at, row.plays);
  }
  return found;
}

/** The plays of `hours` whole hours before a time; null where one of them was not counted. */
export function sum(plays, end, hours) {
  let total = 0;
  for (let n = 1; n <= hours; n += 1) {
    const value = plays.get(end - n * HOUR_MS);
    if (value === undefined) return null;
    total += value;
  }
  return total;
}

export const hourOf = (time) => Math.floor(time / HOUR_MS) * HOUR_MS;

/** The items of a chart: the hours up to now. */
export function hourItems(plays, takenAt, now, hours) {
  const last = hourOf(now);
  return Array.from({ length: hours }, (_, index) => {
    const at = last - (hours - 1 - index) * HOUR_MS;
    const value = plays.get(at) ?? null;
    const partial = takenAt !== null && at === hourOf(takenAt);
    const name = `${weekday(at)}, ${hour(at)}`;
    const midnight = at % DAY_MS === 0;
    const noon = hours <= 48 && at % (DAY_MS / 2) === 0;
    return {
      key: at,
      name,
      value,
      partial,
      tick: midnight ? day(at) : noon ? hour(at) : null,
      minor: !midnight,
      text: `${name} UTC (${localHour(at)}): ${
        value === null ? "not counted" : counted(value, "play") + (partial ? " so far" : "")
      }`,
    };
  });
}

/** The items of a chart: the rows' days. */
export function dayItems(rows, readAt) {
  const today = readAt === null ? null : Math.floor(readAt / DAY_MS) * DAY_MS;
  return (Array.isArray(rows) ? rows : []).flatMap((row) => {
    const at = instant(row?.day);
    if (at === null) return [];
    const value = isNumber(row.plays) ? row.plays : null;
    const partial = at === today;
    return [
      {
        key: at,
        name: weekday(at),
        value,
        partial,
        tick: new Date(at).getUTCDay() === 1 ? day(at) : null,
        text: `${weekday(at)}: ${value === null ? "not counted" : counted(value, "play") + (partial ? " so far" : "")}`,
      },
    ];
  });
}

/** A sentence on all items. */
export function total(items) {
  const values = items.map((item) => item.value).filter(isNumber);
  const plays = values.reduce((sum_, value) => sum_ + value, 0);
  const holes = items.length - values.length;
  return (
    `${counted(plays, "play")} in all, at most ${count(Math.max(0, ...values))}` +
    (holes > 1 ? `; ${count(holes)} not counted (hatched)` : "")
  );
}
