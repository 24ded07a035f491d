// Numbers in the reader's locale; times in UTC, and in the reader's own zone beside it.

const NUMBER = new Intl.NumberFormat();
const PERCENT = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
const CLOCK = {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
};
const UTC = new Intl.DateTimeFormat(undefined, { ...CLOCK, timeZone: "UTC" });
const LOCAL = new Intl.DateTimeFormat(undefined, { ...CLOCK, timeZoneName: "short" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
const WEEKDAY = new Intl.DateTimeFormat(undefined, {
  weekday: "short",
  day: "numeric",
  month: "short",
  timeZone: "UTC",
});
const HOUR = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
  timeZone: "UTC",
});
const PLURAL = new Intl.PluralRules("en");

export const NOTHING = "–";

export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** A list; an empty one where the data has something else. */
export const list = (value) => (Array.isArray(value) ? value.filter((one) => one !== null) : []);

/** A count; a dash where there is none. */
export const count = (value) => (isNumber(value) ? NUMBER.format(value) : NOTHING);

/** "1 user", "2,000 users". */
export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${isNumber(value) && PLURAL.select(value) === "one" ? one : many}`;
}

/** The share of a total; never 0 or 100 % unless it is. */
export function share(part, total) {
  if (!isNumber(part) || !isNumber(total) || total <= 0) return NOTHING;
  const raw = part / total;
  if (raw <= 0 || raw >= 1) return PERCENT.format(Math.min(Math.max(raw, 0), 1));
  return PERCENT.format(Math.min(Math.max(Math.floor(raw * 1000) / 1000, 0.001), 0.999));
}

/** A change in whole per cent: "4% more than", "as many as"; null where it is unknown. */
export function change(value, before) {
  if (!isNumber(value) || !isNumber(before) || before <= 0) return null;
  const percents = Math.round(100 * (value / before - 1));
  if (percents === 0) return "as many as";
  return `${PERCENT.format(Math.abs(percents) / 100)} ${percents > 0 ? "more" : "fewer"} than`;
}

/** Milliseconds of a time; null where it is none. */
export function instant(text) {
  const time = typeof text === "string" ? Date.parse(text) : NaN;
  return Number.isNaN(time) ? null : time;
}

const shown = (format, time) => (time === null ? NOTHING : format.format(time));

export const utc = (text) => {
  const time = instant(text);
  return time === null ? NOTHING : `${UTC.format(time)} UTC`;
};
export const local = (text) => shown(LOCAL, instant(text));
export const day = (time) => shown(DAY, time);
export const weekday = (time) => shown(WEEKDAY, time);
export const hour = (time) => shown(HOUR, time);
export const localHour = (time) => shown(LOCAL, time);

/** A duration, in the two largest units that say something. */
export function duration(minutes) {
  if (!isNumber(minutes)) return NOTHING;
  const whole = Math.max(0, Math.floor(minutes));
  if (whole < 60) return `${whole} min`;
  if (whole < 24 * 60)
    return `${Math.floor(whole / 60)} h${whole % 60 ? ` ${whole % 60} min` : ""}`;
  const days = Math.floor(whole / 1440);
  const hours = Math.floor((whole % 1440) / 60);
  return `${counted(days, "day")}${days < 4 && hours ? ` ${hours} h` : ""}`;
}

/** Minutes from a time to another; null where one is none. */
export function minutesBetween(from, to) {
  const start = typeof from === "number" ? from : instant(from);
  const end = typeof to === "number" ? to : instant(to);
  return start === null || end === null ? null : (end - start) / 60000;
}
