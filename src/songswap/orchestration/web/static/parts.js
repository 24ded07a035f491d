// What the sections are made of. Text from outside becomes text nodes of React, never markup.

import { NOTHING, count, isNumber, local, share, utc, list } from "./format.js";

const { Component, createElement: h, useRef, useState } = globalThis.React;
const { Link } = globalThis.ReactRouterDOM;

/** A state has a shape of its own, so that nobody needs its colour. */
const SHAPES = {
  good: [
    h("circle", { key: 1, cx: 8, cy: 8, r: 7 }),
    h("path", { key: 2, className: "ss-cut", d: "M4.5 8.3l2.4 2.4 4.6-5" }),
  ],
  warn: [
    h("path", { key: 1, d: "M8 1l7.4 13.6H.6z" }),
    h("path", { key: 2, className: "ss-cut", d: "M8 6v4M8 12.2v.1" }),
  ],
  bad: [
    h("path", { key: 1, d: "M5 .8h6L15.2 5v6L11 15.2H5L.8 11V5z" }),
    h("path", { key: 2, className: "ss-cut", d: "M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2" }),
  ],
  paused: [
    h("rect", { key: 1, x: 1, y: 1, width: 14, height: 14, rx: 3 }),
    h("path", { key: 2, className: "ss-cut", d: "M6 5v6M10 5v6" }),
  ],
  running: [
    h("circle", { key: 1, cx: 8, cy: 8, r: 7 }),
    h("path", { key: 2, className: "ss-cut", d: "M6.3 4.8l5 3.2-5 3.2z" }),
  ],
  unknown: [
    h("circle", { key: 1, className: "ss-hollow", cx: 8, cy: 8, r: 6.4 }),
    h("path", { key: 2, className: "ss-line", d: "M8 5v3.6M8 11v.1" }),
  ],
};

export function Shape({ kind, label }) {
  const shape = SHAPES[kind] ? kind : "unknown";
  const named = label ? { role: "img", "aria-label": label } : { "aria-hidden": true };
  return h(
    "svg",
    { className: `ss-shape ss-${shape}`, viewBox: "0 0 16 16", ...named },
    SHAPES[shape],
  );
}

/** A time in UTC; the reader's own is shown on hover. */
export function Time({ at }) {
  return utc(at) === NOTHING
    ? NOTHING
    : h("time", { dateTime: at, title: `${local(at)}, your time` }, utc(at));
}

export function UserLink({ id }) {
  return isNumber(id)
    ? h(Link, { to: `?user=${id}`, className: "ss-link" }, `User ${id}`)
    : NOTHING;
}

/** A link to Airflow's page of a run; its id alone where Airflow has no such run. */
export function RunLink({ run, children, ...more }) {
  if (!run?.dag_id || !run?.dag_run_id) return h("span", more, children);
  const to = `/dags/${encodeURIComponent(run.dag_id)}/runs/${encodeURIComponent(run.dag_run_id)}`;
  return h(Link, { to, ...more, className: `ss-link ${more.className ?? ""}` }, children);
}

/** Shows the rest of the page when a part cannot be shown. */
export class Guard extends Component {
  state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  componentDidUpdate(before) {
    if (this.state.failed && before.version !== this.props.version)
      this.setState({ failed: false });
  }

  render() {
    if (!this.state.failed) return this.props.children;
    return h(Quiet, null, "This part cannot be shown: its data is not as this page knows it.");
  }
}

export const Quiet = ({ children }) => h("p", { className: "ss-quiet" }, children);

/** A part of the page. `of` is its data: where that is missing, the section says so. */
export function Section({ id, title, wide, of, note, version, children }) {
  const missing = of === undefined || of === null;
  return h(
    "section",
    { className: `ss-card ${wide ?? ""}`, "aria-labelledby": `ss-${id}` },
    h(
      "div",
      { className: "ss-head" },
      h("h2", { id: `ss-${id}`, tabIndex: -1 }, title),
      note && h("span", { className: "ss-note" }, note),
    ),
    missing
      ? h(Quiet, null, "The snapshot says nothing about this.")
      : h(Guard, { version }, h(Render, { render: children })),
  );
}

// A component of its own, so that its errors reach the guard.
const Render = ({ render }) => render();

/** Move to a section, for the keyboard too. */
export function show(id) {
  const heading = document.getElementById(`ss-${id}`);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  heading?.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
  heading?.focus({ preventScroll: true });
}

/** A number that is read first. */
export function Tile({ title, value, note, kind, section }) {
  const content = [
    h(
      "span",
      { key: 1, className: "ss-tile-title" },
      kind && h(Shape, { kind, label: kind === "good" ? "good" : "needs a look" }),
      title,
    ),
    h("span", { key: 2, className: "ss-tile-value" }, value),
    h("span", { key: 3, className: "ss-note" }, note),
  ];
  if (!section) return h("div", { className: "ss-tile" }, content);
  return h(
    "button",
    { type: "button", className: "ss-tile", onClick: () => show(section) },
    content,
  );
}

/** A named share of a total, as a bar and in words. */
export function Share({ name, part, total, note }) {
  const known = isNumber(part) && isNumber(total) && total > 0;
  const width = known ? Math.min(100, (100 * part) / total) : 0;
  return h(
    "li",
    { className: "ss-share" },
    h("span", { className: "ss-share-name" }, name),
    h(
      "span",
      { className: "ss-bar", "aria-hidden": true },
      h("span", { style: { width: `${width}%` } }),
    ),
    h("span", { className: "ss-share-value" }, known ? share(part, total) : NOTHING),
    h("span", { className: "ss-note" }, note),
  );
}

/** Rows whose cells keep their column's name on narrow screens. */
export function Table({ label, columns, rows, empty }) {
  if (!rows.length) return h(Quiet, null, empty);
  return h(
    "table",
    { className: "ss-table", "aria-label": label },
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        columns.map((name) => h("th", { key: name, scope: "col" }, name)),
      ),
    ),
    h(
      "tbody",
      null,
      rows.map(({ key, cells }) =>
        h(
          "tr",
          { key },
          cells.map((cell, index) =>
            h("td", { key: columns[index], "data-label": columns[index] }, cell),
          ),
        ),
      ),
    ),
  );
}

/** The first rows, and a button for all. */
export function useShorter(rows, most) {
  const [all, setAll] = useState(false);
  const found = list(rows);
  if (found.length <= most) return [found, null];
  const text = all ? "Show fewer" : `Show all ${count(found.length)}`;
  const button = h(
    "button",
    { type: "button", className: "ss-button", "aria-expanded": all, onClick: () => setAll(!all) },
    text,
  );
  return [all ? found : found.slice(0, most), button];
}

/** The names of an object, those that are known first and in their order. */
export const ordered = (object, known) => [
  ...known.filter((name) => name in object),
  ...Object.keys(object).filter((name) => !known.includes(name)),
];

/** Asks for a user by id. */
export function UserForm({ onUser }) {
  const input = useRef(null);
  const [wrong, setWrong] = useState(false);
  const submit = (event) => {
    event.preventDefault();
    const text = input.current.value.trim();
    const valid = /^[0-9]{1,10}$/.test(text) && Number(text) > 0 && Number(text) < 2 ** 31;
    setWrong(!valid);
    if (valid) onUser(Number(text));
  };
  return h(
    "form",
    { className: "ss-form", onSubmit: submit, role: "search" },
    h("label", { htmlFor: "ss-user" }, "User id"),
    h("input", {
      id: "ss-user",
      ref: input,
      inputMode: "numeric",
      autoComplete: "off",
      size: 8,
      "aria-invalid": wrong,
      "aria-describedby": wrong ? "ss-user-wrong" : undefined,
    }),
    h("button", { type: "submit", className: "ss-button" }, "Show user"),
    wrong &&
      h(
        "span",
        { id: "ss-user-wrong", className: "ss-wrong", role: "alert" },
        "An id is a number; songswap grants shows them.",
      ),
  );
}
