// The panel on Airflow's home: how it stands, in a line.

import { useData } from "./data.js";
import { count, duration, hour, instant, minutesBetween } from "./format.js";
import { Guard, Quiet, Shape } from "./parts.js";
import { byHour, hourOf, sum } from "./plays.js";
import { verdict } from "./verdict.js";

const { createElement: h } = globalThis.React;
const { Link } = globalThis.ReactRouterDOM;

export function Panel() {
  const { data, problem, now } = useData("snapshot");
  return h(
    "section",
    { className: "songswap ss-panel", "aria-labelledby": "ss-panel" },
    h(
      "h2",
      { id: "ss-panel" },
      h(Link, { to: "/plugin/songswap", className: "ss-link" }, "SongSwap"),
    ),
    problem &&
      h(
        "p",
        { className: "ss-state" },
        h(Shape, { kind: "bad", label: "no data" }),
        problem.sentence,
      ),
    !data && !problem && h(Quiet, null, "Loading …"),
    data && h(Guard, { version: data.read_at }, h(Line, { data, now })),
  );
}

function Line({ data, now }) {
  const { kind, word, sentence } = verdict(data, now);
  const plays = byHour(data.plays_by_hour);
  const end = hourOf(instant(data.taken_at) ?? now);
  return h(
    "div",
    { className: "ss-line" },
    h(
      "p",
      { className: "ss-state" },
      h(Shape, { kind }),
      h("strong", null, word),
      h("span", null, sentence),
    ),
    data.taken_at &&
      h(
        "dl",
        { className: "ss-facts" },
        h(
          "div",
          null,
          h("dt", null, "Newest play"),
          h("dd", null, duration(minutesBetween(data.freshness?.newest_play, now))),
        ),
        h(
          "div",
          null,
          h("dt", null, "Plays in 24 hours"),
          h("dd", null, count(sum(plays, end, 24))),
        ),
        h("div", null, h("dt", null, "Open gaps"), h("dd", null, count(data.gaps?.open))),
        h(
          "div",
          { className: "ss-spark" },
          h("dt", null, `48 hours until ${hour(end)} UTC`),
          h("dd", null, h(Spark, { plays, end })),
        ),
      ),
  );
}

function Spark({ plays, end }) {
  const values = Array.from({ length: 48 }, (_, n) => plays.get(end - (48 - n) * 3_600_000) ?? 0);
  const top = Math.max(1, ...values);
  const label = `Plays an hour: at most ${count(top)}, ${count(values.at(-1))} in the last`;
  return h(
    "svg",
    { viewBox: "0 0 192 32", role: "img", "aria-label": label, preserveAspectRatio: "none" },
    values.map((value, n) =>
      h("rect", {
        key: n,
        className: "ss-column",
        x: n * 4,
        width: 3,
        y: 32 - (32 * value) / top,
        height: (32 * value) / top,
      }),
    ),
  );
}
