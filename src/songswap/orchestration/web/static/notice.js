// Why there is no data, or no newer.

import { Shape } from "./parts.js";

const { createElement: h } = globalThis.React;

const LOGIN = new URL("../../../api/v2/auth/login", import.meta.url);

/** A sentence; `old` data may be shown below it. */
export function Notice({ problem, old }) {
  const login = () => {
    LOGIN.searchParams.set("next", location.href);
    return LOGIN.href;
  };
  return h(
    "div",
    { className: "ss-banner ss-is-bad", role: "alert" },
    h(Shape, { kind: "bad" }),
    h(
      "div",
      null,
      h("p", { className: "ss-word" }, old ? "Not refreshed" : "No data"),
      h("p", null, problem.sentence),
      old && h("p", null, "Below is what was read last."),
      problem.status === 401 && h("a", { href: login(), className: "ss-link" }, "Log in"),
    ),
  );
}
