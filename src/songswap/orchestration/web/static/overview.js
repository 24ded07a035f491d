// The sections of the page on all users.

import { Chart } from "./chart.js";
import { NOTHING, change, count, counted, day, duration, instant, isNumber, minutesBetween } from "./format.js";
import { Quiet, Shape, Share, Table, Tile, Time, UserLink, useShorter } from "./parts.js";
import { byHour, hourItems, hourOf, sum, total } from "./plays.js";
import { waiting } from "./verdict.js";

const { createElement: h, useMemo, useState } = globalThis.React;

const TO_AUTHORIZE = ["expired", "revoked", "lost", "forbidden"];
const DAY_MINUTES = 1440;

const added = (object, names) => {
  const values = names.map((name) => object?.[name]).filter(isNumber);
  return values.length ? values.reduce((one, other) => one + other, 0) : null;
};

export function Tiles({ data, now }) {
  const { freshness = {}, gaps, grants, hosts } = data;
  const answered = freshness?.answered ?? {};
  const plays = byHour(data.plays_by_hour);
  const end = hourOf(instant(data.taken_at) ?? now);
  const today = sum(plays, end, 24);
  const yesterday = sum(plays, end - DAY_MINUTES * 60_000, 24);
  const changed = change(today, yesterday);
  const toAuthorize = added(grants?.states, TO_AUTHORIZE);
  const waits = (hosts ?? []).filter((host) => waiting(host) > 0);
  const silent = waits.filter((host) => host.is_silent);
  return h("div", { className: "ss-tiles" },
    h(Tile, {
      title: "Newest play", section: "freshness",
      value: duration(minutesBetween(freshness?.newest_play, now)), note: h(Time, { at: freshness?.newest_play }),
    }),
    h(Tile, {
      title: "Last look, 9 of 10 users", section: "freshness", value: duration(answered.p90_minutes),
      note: `half: ${duration(answered.p50_minutes)}; the oldest: ${duration(answered.oldest_minutes)}`,
    }),
    h(Tile, {
      title: "Plays in 24 hours", section: "plays", value: count(today),
      note: changed ? `${changed} in the 24 hours before` : "whole hours before the snapshot",
    }),
    h(Tile, {
      title: "Open gaps", section: "gaps", value: count(gaps?.open), kind: kind(gaps?.open),
      note: `${count(gaps?.closed_7d)} closed in 7 days`,
    }),
    h(Tile, {
      title: "To authorize again", section: "grants", value: count(toAuthorize), kind: kind(toAuthorize),
      note: `${count(grants?.states?.expiring)} more within 30 days`,
    }),
    h(Tile, {
      title: "Waiting in spools", section: "hosts",
      value: hosts ? count(waits.reduce((all, host) => all + waiting(host), 0)) : NOTHING,
      kind: hosts && (silent.length ? "bad" : kind(waits.length)),
      note: silent.length ? `${counted(silent.length, "host")} silent` : hosts && counted(hosts.length, "host"),
    }));
}

const kind = (value) => (isNumber(value) ? (value > 0 ? "warn" : "good") : null);

export function Plays({ data, now }) {
  const [hours, setHours] = useState(48);
  const minute = Math.floor(now / 60_000);
  const items = useMemo(
    () => hourItems(byHour(data.plays_by_hour), instant(data.taken_at), minute * 60_000, hours),
    [data, hours, minute],
  );
  const choice = (value, text) => h("button", {
    type: "button", "aria-pressed": hours === value, onClick: () => setHours(value),
  }, text);
  return h("div", null,
    h("div", { className: "ss-choice", role: "group", "aria-label": "How far back" },
      choice(48, "48 hours"), choice(720, "30 days")),
    h(Chart, { id: "hours", label: "Plays an hour", summary: total(items), items }));
}

export function Freshness({ freshness }) {
  const bars = Array.isArray(freshness.histogram) ? freshness.histogram : [];
  const most = Math.max(1, ...bars.map((bar) => bar?.users ?? 0));
  const never = freshness.answered?.never;
  return h("div", null,
    h("p", null, `${counted(freshness.users, "user")} can be polled. The age of their last response when the snapshot was taken:`),
    h("ul", { className: "ss-bars" }, bars.map((bar, index) =>
      h("li", { key: index },
        h("span", null, range(bars[index - 1]?.up_to_minutes ?? 0, bar.up_to_minutes)),
        h("span", { className: "ss-bar", "aria-hidden": true }, h("span", { style: { width: `${(100 * (bar.users ?? 0)) / most}%` } })),
        h("span", null, count(bar.users))))),
    never > 0 && h("p", { className: "ss-note" }, `${counted(never, "user")} never had a response.`));
}

const range = (from, to) => {
  if (!isNumber(to)) return `over ${duration(from)}`;
  return from ? `${duration(from)} – ${duration(to)}` : `up to ${duration(to)}`;
};

const NAMES = {
  features: "audio features", images: "images", popularity: "popularity", followers: "followers",
  genres: "genres", preview: "previews",
};

/** The names of an object, those that are known first and in their order. */
const ordered = (object, known) => [
  ...known.filter((name) => name in object),
  ...Object.keys(object).filter((name) => !known.includes(name)),
];

export function Coverage({ catalogue }) {
  const missing = catalogue.missing ?? {};
  return h("div", { className: "ss-two" },
    h(Covered, { title: "Tracks", counts: catalogue.tracks, fetched: missing.track, features: missing.features }),
    h(Covered, { title: "Artists", counts: catalogue.artists, fetched: missing.artist }));
}

function Covered({ title, counts, fetched, features }) {
  if (!counts) return h("div", null, h("h3", null, title), h(Quiet, null, "The snapshot says nothing about these."));
  const names = ordered(counts, Object.keys(NAMES)).filter((name) => name !== "total");
  return h("div", null,
    h("h3", null, `${count(counts.total)} ${title.toLowerCase()}`),
    h("ul", { className: "ss-shares" }, names.map((name) => h(Share, {
      key: name, name: NAMES[name] ?? name, part: counts[name], total: counts.total,
      note: isNumber(counts[name]) && counts[name] < counts.total ? `${count(counts.total - counts[name])} without` : null,
    }))),
    h(Backlog, { what: title.toLowerCase(), of: fetched }),
    features && h(Backlog, { what: "audio features", of: features }));
}

function Backlog({ what, of }) {
  if (!of) return null;
  const text = `To fetch of ${what}: ${count(of.missing)} next, ${count(of.waiting)} later;`
    + ` ${count(of.unknown)} are unknown to Spotify.`;
  return h("p", { className: "ss-note" }, text);
}

export function Requests({ requests, now }) {
  const pauses = (requests.pauses ?? []).filter((pause) => pause);
  return h("div", null,
    pauses.map((pause) => h("p", { key: `${pause.app}${pause.until}`, className: "ss-state" },
      h(Shape, { kind: "paused" }),
      h("span", null, pause.app === "reccobeats" ? "ReccoBeats" : `App ${pause.app}`,
        instant(pause.until) > now ? ": no requests until " : ": was paused until ", h(Time, { at: pause.until }),
        pause.reason && ` (${pause.reason})`))),
    h("ul", { className: "ss-shares" },
      h(Used, { name: "in 30 s", used: requests.in_window, limit: requests.per_window }),
      h(Used, { name: "in 24 hours", used: requests.last_day, limit: requests.per_day })),
    isNumber(requests.users_an_hour)
      && h("p", { className: "ss-note" }, `The limits serve ${counted(requests.users_an_hour, "user")} an hour.`));
}

function Used({ name, used, limit }) {
  if (isNumber(limit)) return h(Share, { name, part: used, total: limit, note: `${count(used)} of ${count(limit)}` });
  return h("li", { className: "ss-share" }, h("span", { className: "ss-share-name" }, name),
    h("span", { className: "ss-rest" }, `${counted(used, "request")}; no limit was met yet`));
}

export function Hosts({ hosts }) {
  return h(Table, {
    label: "Hosts", columns: ["Host", "Last report", "For S3", "For the warehouse", "Tokens", "Since"],
    empty: "No host has reported yet.",
    rows: hosts.map((host) => ({
      key: host.host,
      cells: [
        h("span", null, host.host, host.problem && h("p", { className: "ss-problem" }, host.problem)),
        h("span", { className: "ss-state" },
          h(Shape, { kind: host.is_silent ? (waiting(host) ? "bad" : "warn") : "good", label: host.is_silent ? "silent" : "reports" }),
          h("span", null, host.is_silent && "silent since ", h(Time, { at: host.seen_at }))),
        count(host.waiting_for_s3), count(host.waiting_for_warehouse), count(host.waiting_tokens),
        h(Time, { at: host.waiting_since }),
      ],
    })),
  });
}

export function Gaps({ gaps }) {
  const [newest, button] = useShorter(gaps.newest, 5);
  return h("div", null,
    h("p", null, `${count(gaps.open)} open, ${count(gaps.closed_7d)} closed in 7 days. In a gap plays were lost:`
      + " Spotify had dropped them before it was asked. An export of the user brings them back."),
    h(Table, {
      label: "Newest open gaps", columns: ["User", "After", "Length", "Found"], empty: "There is none.",
      rows: newest.map((gap) => ({
        key: `${gap.user_id} ${gap.before}`,
        cells: [h(UserLink, { id: gap.user_id }), h(Time, { at: gap.after }),
          duration(minutesBetween(gap.after, gap.before)), h(Time, { at: gap.found_at })],
      })),
    }), button);
}

export const WORDS_OF_GRANT = {
  active: ["good", "good"], expiring: ["warn", "end within 30 days"], expired: ["bad", "six months old: authorize again"],
  revoked: ["bad", "refused by Spotify: authorize again"], lost: ["bad", "lost in a crash: authorize again"],
  forbidden: ["bad", "Spotify forbids the app this user"],
};

const SOON_DAYS = 30;

export function Grants({ grants, now }) {
  const states = grants.states ?? {};
  const first = Math.floor(now / 86_400_000) * 86_400_000;
  const byDay = new Map((grants.ending ?? []).map((row) => [instant(row?.day), row?.users]));
  const items = Array.from({ length: SOON_DAYS }, (_, n) => {
    const at = first + n * 86_400_000;
    const users = byDay.get(at) ?? 0;
    return { key: at, name: day(at), value: users, tick: n % 7 === 0 ? day(at) : null, text: `${day(at)}: ${counted(users, "grant ends", "grants end")}` };
  });
  const soon = items.reduce((all, item) => all + item.value, 0);
  return h("div", null,
    h("ul", { className: "ss-grants" }, ordered(states, Object.keys(WORDS_OF_GRANT)).map((state) => h("li", { key: state },
      h(Shape, { kind: states[state] ? WORDS_OF_GRANT[state]?.[0] : "unknown" }),
      h("strong", null, count(states[state])), " ", state,
      h("span", { className: "ss-note" }, WORDS_OF_GRANT[state]?.[1] !== state ? ` ${WORDS_OF_GRANT[state]?.[1] ?? ""}` : "")))),
    h("h3", null, `Ends in the next ${SOON_DAYS} days`),
    h(Chart, { id: "grants", label: "Grants that end, by day", items, height: 110, summary: `${counted(soon, "grant ends", "grants end")} until ${day(first + (SOON_DAYS - 1) * 86_400_000)}` }));
}

const OUTCOMES = ["merged", "duplicates", "repeated", "short", "private", "unidentified", "podcast", "audiobook", "video", "rejected_items"];

export function Imports({ imports, withUser = true }) {
  const [newest, button] = useShorter(imports, 5);
  const columns = ["Ended", "User", "Rows", "New plays", "Other rows"];
  return h("div", null, h(Table, {
    label: "Imports", empty: "No export has been imported.",
    columns: withUser ? columns : columns.filter((name) => name !== "User"),
    rows: newest.map((one) => {
      const counts = one.counts ?? {};
      const others = OUTCOMES.filter((name) => counts[name] > 0).map((name) => `${count(counts[name])} ${name.replace("_", " ")}`);
      const user = withUser ? [h(UserLink, { id: one.user_id })] : [];
      return { key: one.import_id, cells: [h(Time, { at: one.ended_at }), ...user, count(counts.rows), count(counts.loaded), others.join(", ") || NOTHING] };
    }),
  }), button);
}
