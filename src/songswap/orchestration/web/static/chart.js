// Columns over time, drawn as SVG: the pointer and the arrow keys read them one by one.

import { count, isNumber } from "./format.js";

const { createElement: h, useEffect, useRef, useState } = globalThis.React;

const LEFT = 44;
const BOTTOM = 20;
const TOP = 8;
const THINNEST = 3;

/** The width of an element in pixels, and a ref for it. */
function useWidth() {
  const ref = useRef(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width)));
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

/** The smallest of 1, 2, 5, 10, 20 … times two that reaches a value: its half is a round number. */
function ceiling(value) {
  for (let power = 1; ; power *= 10) {
    const found = [2, 4, 10].find((step) => step * power >= value);
    if (found) return found * power;
  }
}

/**
 * A chart of `items`: `{key, name, text, value, partial, tick, minor}`. A value of null was not counted,
 * and is hatched; `partial` is still being counted; `tick` is written below the axis, a `minor` one
 * where there is room for all.
 */
export function Chart({ id, label, summary, items, height = 180 }) {
  const [frame, width] = useWidth();
  const [pointed, setPointed] = useState(null);
  const active = pointed !== null && pointed < items.length ? pointed : null;
  const inner = Math.max(0, width - LEFT);
  const step = items.length ? inner / items.length : 0;
  const top = ceiling(Math.max(1, ...items.map((item) => item.value).filter(isNumber)));
  const scale = (value) => TOP + (height - TOP - BOTTOM) * (1 - value / top);

  const point = (event) => {
    const x = event.clientX - frame.current.getBoundingClientRect().left - LEFT;
    setPointed(step > 0 && x >= 0 ? Math.min(items.length - 1, Math.floor(x / step)) : null);
  };
  const keys = {
    ArrowLeft: (at) => Math.max(0, at - 1),
    ArrowRight: (at) => Math.min(items.length - 1, at + 1),
    Home: () => 0,
    End: () => items.length - 1,
  };
  const press = (event) => {
    if (event.key === "Escape") setPointed(null);
    if (!keys[event.key] || !items.length) return;
    event.preventDefault();
    setPointed(keys[event.key](active ?? items.length));
  };
  const read = active === null ? summary : items[active].text;

  return h(
    "div",
    { className: "ss-chart" },
    h("p", { className: "ss-readout" }, read),
    h(
      "div",
      {
        ref: frame,
        tabIndex: 0,
        role: "slider",
        "aria-label": `${label}, by arrow keys`,
        "aria-valuemin": 0,
        "aria-valuemax": Math.max(0, items.length - 1),
        "aria-valuenow": active ?? Math.max(0, items.length - 1),
        "aria-valuetext": read,
        onPointerMove: point,
        onPointerDown: point,
        onPointerLeave: () => setPointed(null),
        onKeyDown: press,
        onBlur: () => setPointed(null),
      },
      h(
        "svg",
        { className: "ss-plot", width, height, "aria-hidden": true, "data-chart": id },
        h(
          "defs",
          null,
          h(
            "pattern",
            {
              id: `ss-hatch-${id}`,
              width: 6,
              height: 6,
              patternUnits: "userSpaceOnUse",
              patternTransform: "rotate(45)",
            },
            h("line", { className: "ss-hatch", x1: 0, y1: 0, x2: 0, y2: 6 }),
          ),
        ),
        [0, top / 2, top].map((value) =>
          h(
            "g",
            { key: value },
            h("line", {
              className: "ss-grid",
              x1: LEFT,
              x2: width,
              y1: scale(value),
              y2: scale(value),
            }),
            h(
              "text",
              { className: "ss-axis", x: LEFT - 6, y: scale(value) + 4, textAnchor: "end" },
              count(value),
            ),
          ),
        ),
        h(Columns, { id, items, step, scale, base: scale(0), active }),
        h(Ticks, { items, step, width, y: height - 4 }),
      ),
    ),
    h(AsTable, { label, items }),
  );
}

function Columns({ id, items, step, scale, base, active }) {
  const gap = step >= 2 * THINNEST ? Math.min(2, step / 4) : 0;
  const x = (index) => LEFT + index * step;
  const holes = items.map(
    (item, index) =>
      item.value === null &&
      h("rect", {
        key: item.key,
        x: x(index),
        y: TOP,
        width: step,
        height: base - TOP,
        fill: `url(#ss-hatch-${id})`,
      }),
  );
  const marker =
    active !== null &&
    h("rect", {
      className: "ss-marker",
      x: x(active),
      y: TOP,
      width: Math.max(step, 1),
      height: base - TOP,
    });
  if (step < THINNEST)
    return h(
      "g",
      null,
      holes,
      marker,
      h("path", { className: "ss-area", d: outline(items, x, scale, base) }),
    );
  return h(
    "g",
    null,
    holes,
    marker,
    items.map(
      (item, index) =>
        isNumber(item.value) &&
        h("rect", {
          key: item.key,
          className: `ss-column${item.partial ? " ss-partial" : ""}`,
          "data-value": item.value,
          x: x(index) + gap / 2,
          width: Math.max(step - gap, 0.5),
          y: scale(item.value),
          height: Math.max(base - scale(item.value), item.value ? 1 : 0),
        }),
    ),
  );
}

/** Columns that are too thin to be seen one by one, as one shape. */
function outline(items, x, scale, base) {
  return items
    .map((item, index) =>
      isNumber(item.value)
        ? `M${x(index)} ${base}V${scale(item.value)}H${x(index + 1)}V${base}Z`
        : "",
    )
    .join("");
}

/** As many names below the axis as there is room for. */
function Ticks({ items, step, width, y }) {
  const room = Math.max(1, Math.floor((width - LEFT) / 64));
  let marked = items
    .map((item, index) => ({ ...item, x: LEFT + index * step }))
    .filter((item) => item.tick);
  if (marked.length > room) marked = marked.filter((item) => !item.minor);
  const every = Math.max(1, Math.ceil(marked.length / room));
  return marked
    .filter((_, index) => index % every === 0)
    .map((item) =>
      h(
        "g",
        { key: item.key },
        h("line", { className: "ss-grid", x1: item.x, x2: item.x, y1: y - 14, y2: y - 10 }),
        item.x < width - 30 && h("text", { className: "ss-axis", x: item.x, y }, item.tick),
      ),
    );
}

/** The same numbers for those who do not see the chart; made when it is opened. */
function AsTable({ label, items }) {
  const [open, setOpen] = useState(false);
  return h(
    "details",
    { className: "ss-details", onToggle: (event) => setOpen(event.currentTarget.open) },
    h("summary", null, "As a table"),
    open &&
      h(
        "div",
        { className: "ss-scroll", tabIndex: 0, role: "region", "aria-label": label },
        h(
          "table",
          { className: "ss-plain", "aria-label": label },
          h(
            "thead",
            null,
            h(
              "tr",
              null,
              h("th", { scope: "col" }, "Time (UTC)"),
              h("th", { scope: "col" }, "Number"),
            ),
          ),
          h(
            "tbody",
            null,
            [...items]
              .reverse()
              .map((item) =>
                h(
                  "tr",
                  { key: item.key },
                  h("th", { scope: "row" }, item.name),
                  h("td", null, item.value === null ? "not counted" : count(item.value)),
                ),
              ),
          ),
        ),
      ),
  );
}
