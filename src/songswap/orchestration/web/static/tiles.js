// What is read first: six numbers.

import {
  NOTHING,
  change,
  count,
  counted,
  duration,
  instant,
  isNumber,
  minutesBetween,
  list,
} from "./format.js";
import { Tile, Time } from "./parts.js";
import { byHour, hourOf, sum } from "./plays.js";
import { waiting } from "./verdict.js";

const { createElement: h } = globalThis.React;

const TO_AUTHORIZE = ["expired", "revoked", "lost", "forbidden"];
const DAY_MINUTES = 1440;

const added = (object, names) => {
  const values = names.map((name) => object?.[name]).filter(isNumber);
  return values.length ? values.reduce((one, other) => one + other, 0) : null;
};

export function Tiles({ data, now }) {
  const { freshness, gaps, grants, hosts } = data;
  const answered = freshness?.answered ?? {};
  const plays = byHour(data.plays_by_hour);
  const end = hourOf(instant(data.taken_at) ?? now);
  const today = sum(plays, end, 24);
  const yesterday = sum(plays, end - DAY_MINUTES * 60_000, 24);
  const changed = change(today, yesterday);
  const toAuthorize = added(grants?.states, TO_AUTHORIZE);
  const waits = list(hosts).filter((host) => waiting(host) > 0);
  const silent = waits.filter((host) => host.is_silent);
  return h(
    "div",
    { className: "ss-tiles" },
    h(Tile, {
      title: "Newest play",
      section: "freshness",
      value: duration(minutesBetween(freshness?.newest_play, now)),
      note: h(Time, { at: freshness?.newest_play }),
    }),
    h(Tile, {
      title: "Last look, 9 of 10 users",
      section: "freshness",
      value: duration(answered.p90_minutes),
      note:
        isNumber(answered.p50_minutes) &&
        `half: ${duration(answered.p50_minutes)}; the oldest: ${duration(answered.oldest_minutes)}`,
    }),
    h(Tile, {
      title: "Plays in 24 hours",
      section: "plays",
      value: count(today),
      note: changed ? `${changed} in the 24 hours before` : "whole hours before the snapshot",
    }),
    h(Tile, {
      title: "Open gaps",
      section: "gaps",
      value: count(gaps?.open),
      kind: kind(gaps?.open),
      note: isNumber(gaps?.closed_7d) && `${count(gaps.closed_7d)} closed in 7 days`,
    }),
    h(Tile, {
      title: "To authorize again",
      section: "grants",
      value: count(toAuthorize),
      kind: kind(toAuthorize),
      note:
        isNumber(grants?.states?.expiring) &&
        `${count(grants.states.expiring)} more within 30 days`,
    }),
    h(Tile, {
      title: "Waiting in spools",
      section: "hosts",
      value: hosts ? count(waits.reduce((all, host) => all + waiting(host), 0)) : NOTHING,
      kind: hosts && (silent.length ? "bad" : kind(waits.length)),
      note: silent.length
        ? `${counted(silent.length, "host")} silent`
        : hosts && counted(list(hosts).length, "host"),
    }),
  );
}

const kind = (value) => (isNumber(value) ? (value > 0 ? "warn" : "good") : null);
