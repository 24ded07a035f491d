// The page on one user, by id.

import { Chart } from "./chart.js";
import { useData } from "./data.js";
import { Places, WHY_DUE, urgency } from "./erasing.js";
import { count, day, duration, instant, minutesBetween, list } from "./format.js";
import { Notice } from "./notice.js";
import { Guard, Quiet, Section, Shape, Table, Tile, Time, useShorter } from "./parts.js";
import { dayItems, total } from "./plays.js";
import { Imports, WORDS_OF_GRANT } from "./users.js";

const { createElement: h } = globalThis.React;
const { Link } = globalThis.ReactRouterDOM;

export function User({ id }) {
  const { data, problem, now, loading } = useData(`users/${encodeURIComponent(id)}`);
  return h(
    "div",
    { className: "ss-page", "aria-busy": loading },
    h("p", null, h(Link, { to: "?", className: "ss-link" }, "← All users")),
    h("h1", null, `User ${id}`),
    problem && h(Notice, { problem, old: data !== null }),
    !data && !problem && h(Quiet, null, "Loading …"),
    data && h(Guard, { version: data.read_at }, h(Found, { data, now })),
  );
}

function Found({ data, now }) {
  const { poll, grant } = data;
  const version = data.read_at;
  const items = dayItems(data.plays_by_day, instant(data.read_at));
  const open = list(data.gaps).filter((gap) => !gap.closed_at).length;
  const [kind, words] = WORDS_OF_GRANT[grant?.state] ?? ["unknown", "no authorization is stored"];
  return h(
    "div",
    { className: "ss-page" },
    data.erasure && h(Erasure, { erasure: data.erasure }),
    data.due && h(Due, { due: data.due, now }),
    h(
      "div",
      { className: "ss-tiles" },
      h(Tile, {
        title: "Last response",
        value: duration(minutesBetween(poll?.answered_at, now)),
        note: h(Time, { at: poll?.answered_at }),
      }),
      h(Tile, {
        title: "Newest play in it",
        value: duration(minutesBetween(poll?.newest_played_at, now)),
        note: h(Time, { at: poll?.newest_played_at }),
      }),
      h(Tile, { title: "Grant", kind, value: grant?.state ?? "none", note: words }),
      h(Tile, {
        title: "Open gaps",
        kind: open ? "warn" : "good",
        value: count(open),
        note: "of the last 20 gaps",
      }),
    ),
    poll?.problem &&
      h(
        "p",
        { className: "ss-problem" },
        h(Shape, { kind: "bad", label: "problem" }),
        `The last poll failed: ${poll.problem}`,
      ),
    h(
      "div",
      { className: "ss-grid12" },
      h(
        Section,
        {
          id: "days",
          title: "Plays a day",
          wide: "ss-w8",
          of: data.plays_by_day,
          version,
          note: "90 days, UTC",
        },
        () => h(Chart, { id: "days", label: "Plays a day", items, summary: total(items) }),
      ),
      h(Section, { id: "grant", title: "Grant", wide: "ss-w4", of: grant, version }, () =>
        h(Grant, { grant, now }),
      ),
      h(Section, { id: "gaps", title: "Gaps", wide: "ss-w6", of: data.gaps, version }, () =>
        h(UserGaps, { gaps: data.gaps }),
      ),
      h(
        Section,
        { id: "imports", title: "Imports", wide: "ss-w6", of: data.imports, version },
        () => h(Imports, { imports: data.imports, withUser: false }),
      ),
    ),
  );
}

function Erasure({ erasure }) {
  const { ended_at: ended, renewed_at: renewed } = erasure;
  const [kind, word] = !ended
    ? ["warn", "Being erased"]
    : renewed
      ? ["good", "Erased before"]
      : ["good", "Erased"];
  return h(Banner, {
    kind,
    word,
    children: ended
      ? [
          "Erased on ",
          h(Time, { key: 1, at: ended }),
          renewed && [", and a user again since ", h(Time, { key: 2, at: renewed })],
          renewed ? "." : ". Nothing of this user is polled or loaded.",
        ]
      : [
          "The erasure was requested on ",
          h(Time, { key: 1, at: erasure.requested_at }),
          ", and waits for ",
          h(Places, { key: 2, places: list(erasure.waits_for) }),
        ],
  });
}

function Due({ due, now }) {
  const at = instant(due.day);
  const [kind, word] = urgency(at, now);
  return h(Banner, {
    kind,
    word: "Has to be erased",
    children: [
      `Due on ${day(at)} (${word}): ${WHY_DUE[due.reason] ?? due.reason}, since `,
      h(Time, { key: 1, at: due.since }),
      ". Whoever authorizes again before is off the list.",
    ],
  });
}

const Banner = ({ kind, word, children }) =>
  h(
    "div",
    { className: `ss-banner ss-is-${kind}` },
    h(Shape, { kind }),
    h("div", null, h("p", { className: "ss-word" }, word), h("p", null, children)),
  );

function Grant({ grant, now }) {
  const left = minutesBetween(now, grant.ends_at);
  return h(
    "dl",
    { className: "ss-list" },
    h("dt", null, "Authorized"),
    h("dd", null, h(Time, { at: grant.authorized_at })),
    h("dt", null, "Ends"),
    h("dd", null, h(Time, { at: grant.ends_at }), left > 0 && `, in ${duration(left)}`),
    grant.ask_again_at && [
      h("dt", { key: 1 }, "Tried again"),
      h("dd", { key: 2 }, h(Time, { at: grant.ask_again_at })),
    ],
    grant.problem && [h("dt", { key: 3 }, "Spotify's answer"), h("dd", { key: 4 }, grant.problem)],
  );
}

function UserGaps({ gaps }) {
  const [newest, button] = useShorter(gaps, 8);
  return h(
    "div",
    null,
    h(Table, {
      label: "Gaps",
      columns: ["After", "Length", "Found", "Closed"],
      empty: "No play of this user is known to be lost.",
      rows: newest.map((gap) => ({
        key: `${gap.after} ${gap.before}`,
        cells: [
          h(Time, { at: gap.after }),
          duration(minutesBetween(gap.after, gap.before)),
          h(Time, { at: gap.found_at }),
          gap.closed_at
            ? h(Time, { at: gap.closed_at })
            : h("span", { className: "ss-state" }, h(Shape, { kind: "warn" }), "open"),
        ],
      })),
    }),
    button,
  );
}
