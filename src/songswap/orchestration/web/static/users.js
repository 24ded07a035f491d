// What concerns single users: gaps, grants, imports.

import { Chart } from "./chart.js";
import {
  NOTHING,
  count,
  counted,
  day,
  duration,
  instant,
  minutesBetween,
  isNumber,
  list,
} from "./format.js";
import { Shape, Table, Time, UserLink, ordered, useShorter, Quiet } from "./parts.js";

const { createElement: h } = globalThis.React;

export function Gaps({ gaps }) {
  const [newest, button] = useShorter(gaps.newest, 5);
  return h(
    "div",
    null,
    h(
      "p",
      null,
      `${count(gaps.open)} open, ${count(gaps.closed_7d)} closed in 7 days. In a gap plays were lost:` +
        " Spotify had dropped them before it was asked. An export of the user brings them back.",
    ),
    h(Table, {
      label: "Newest open gaps",
      columns: ["User", "After", "Length", "Found"],
      empty: "There is none.",
      rows: newest.map((gap) => ({
        key: `${gap.user_id} ${gap.before}`,
        cells: [
          h(UserLink, { id: gap.user_id }),
          h(Time, { at: gap.after }),
          duration(minutesBetween(gap.after, gap.before)),
          h(Time, { at: gap.found_at }),
        ],
      })),
    }),
    button,
  );
}

export const WORDS_OF_GRANT = {
  active: ["good", "good"],
  expiring: ["warn", "within 30 days of its end"],
  expired: ["bad", "six months old: authorize again"],
  revoked: ["bad", "refused by Spotify: authorize again"],
  lost: ["bad", "lost in a crash: authorize again"],
  forbidden: ["bad", "Spotify forbids the app this user"],
};

const SOON_DAYS = 30;

export function Grants({ grants, now }) {
  const states = grants.states ?? {};
  const first = Math.floor(now / 86_400_000) * 86_400_000;
  const byDay = new Map(list(grants.ending).map((row) => [instant(row?.day), row?.users]));
  const items = Array.from({ length: SOON_DAYS }, (_, n) => {
    const at = first + n * 86_400_000;
    const found = byDay.get(at);
    const users = isNumber(found) ? found : 0;
    return {
      key: at,
      name: day(at),
      value: users,
      tick: n % 7 === 0 ? day(at) : null,
      text: `${day(at)}: ${counted(users, "grant ends", "grants end")}`,
    };
  });
  const soon = items.reduce((all, item) => all + item.value, 0);
  return h(
    "div",
    null,
    h(
      "ul",
      { className: "ss-grants" },
      ordered(states, Object.keys(WORDS_OF_GRANT)).map((state) =>
        h(
          "li",
          { key: state },
          h(Shape, { kind: states[state] === 0 ? "good" : WORDS_OF_GRANT[state]?.[0] }),
          h("strong", null, count(states[state])),
          " ",
          state,
          h("span", { className: "ss-note" }, ` ${WORDS_OF_GRANT[state]?.[1] ?? ""}`),
        ),
      ),
    ),
    h("h3", null, `Ends in the next ${SOON_DAYS} days`),
    Array.isArray(grants.ending)
      ? h(Chart, {
          id: "grants",
          label: "Grants that end, by day",
          items,
          height: 110,
          summary: `${counted(soon, "grant ends", "grants end")} until ${items.at(-1).name}`,
        })
      : h(Quiet, null, "The snapshot says nothing about this."),
  );
}

const OUTCOMES = [
  "merged",
  "duplicates",
  "repeated",
  "short",
  "private",
  "unidentified",
  "podcast",
  "audiobook",
  "video",
  "rejected_items",
];

export function Imports({ imports, withUser = true }) {
  const [newest, button] = useShorter(imports, 5);
  const columns = ["Ended", "User", "Rows", "New plays", "Other rows"];
  return h(
    "div",
    null,
    h(Table, {
      label: "Imports",
      empty: "No export has been imported.",
      columns: withUser ? columns : columns.filter((name) => name !== "User"),
      rows: newest.map((one) => {
        const counts = one.counts ?? {};
        const others = OUTCOMES.filter((name) => counts[name] > 0).map(
          (name) => `${count(counts[name])} ${name.replace("_", " ")}`,
        );
        const user = withUser ? [h(UserLink, { id: one.user_id })] : [];
        return {
          key: one.import_id,
          cells: [
            h(Time, { at: one.ended_at }),
            ...user,
            count(counts.rows),
            count(counts.loaded),
            others.join(", ") || NOTHING,
          ],
        };
      }),
    }),
    button,
  );
}
