// Plays an hour, and how long ago users were looked at.

import { Chart } from "./chart.js";
import { count, counted, duration, instant, isNumber } from "./format.js";
import { byHour, hourItems, total } from "./plays.js";

const { createElement: h, useMemo, useState } = globalThis.React;

export function Plays({ data, now }) {
  const [hours, setHours] = useState(48);
  const minute = Math.floor(now / 60_000);
  const items = useMemo(
    () => hourItems(byHour(data.plays_by_hour), instant(data.taken_at), minute * 60_000, hours),
    [data, hours, minute],
  );
  const choice = (value, text) =>
    h(
      "button",
      {
        type: "button",
        "aria-pressed": hours === value,
        onClick: () => setHours(value),
      },
      text,
    );
  return h(
    "div",
    null,
    h(
      "div",
      { className: "ss-choice", role: "group", "aria-label": "How far back" },
      choice(48, "48 hours"),
      choice(720, "30 days"),
    ),
    h(Chart, { id: "hours", label: "Plays an hour", summary: total(items), items }),
  );
}

export function Freshness({ freshness }) {
  const bars = Array.isArray(freshness.histogram) ? freshness.histogram : [];
  const most = Math.max(1, ...bars.map((bar) => bar?.users).filter(isNumber));
  const never = freshness.answered?.never;
  return h(
    "div",
    null,
    h(
      "p",
      null,
      `${counted(freshness.users, "user")} can be polled. The age of their last response when the snapshot was taken:`,
    ),
    h(
      "ul",
      { className: "ss-bars" },
      bars.map((bar, index) =>
        h(
          "li",
          { key: index },
          h("span", null, range(bars[index - 1]?.up_to_minutes ?? 0, bar.up_to_minutes)),
          h(
            "span",
            { className: "ss-bar", "aria-hidden": true },
            h("span", {
              style: { width: `${(100 * (isNumber(bar.users) ? bar.users : 0)) / most}%` },
            }),
          ),
          h("span", null, count(bar.users)),
        ),
      ),
    ),
    never > 0 &&
      h("p", { className: "ss-note" }, `${counted(never, "user")} never had a response.`),
  );
}

const range = (from, to) => {
  if (!isNumber(to)) return `over ${duration(from)}`;
  if (!from) return `up to ${duration(to)}`;
  return to < 60 ? `${from}–${duration(to)}` : `${duration(from)} – ${duration(to)}`;
};
