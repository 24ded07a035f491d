// What waits in the spool of each host.

import { count, list } from "./format.js";
import { Shape, Table, Time } from "./parts.js";
import { waiting } from "./verdict.js";

const { createElement: h } = globalThis.React;

export function Hosts({ hosts }) {
  return h(Table, {
    label: "Hosts",
    columns: ["Host", "Last report", "For S3", "For the warehouse", "Tokens", "Since", "To erase"],
    empty: "No host has reported yet.",
    rows: list(hosts).map((host) => ({
      key: host.host,
      cells: [
        h(
          "span",
          null,
          host.host,
          host.problem && h("p", { className: "ss-problem" }, host.problem),
        ),
        h(
          "span",
          { className: "ss-state" },
          h(Shape, {
            kind: host.is_silent ? (waiting(host) || host.erasures ? "bad" : "warn") : "good",
            label: host.is_silent ? "silent" : "reports",
          }),
          h("span", null, host.is_silent && "silent since ", h(Time, { at: host.seen_at })),
        ),
        count(host.waiting_for_s3),
        count(host.waiting_for_warehouse),
        count(host.waiting_tokens),
        h(Time, { at: host.waiting_since }),
        count(host.erasures),
      ],
    })),
  });
}
