// The last runs: a strip to see, a table to read. Both lead to Airflow's own pages.

import { count, counted, duration, minutesBetween, hour, instant, utc } from "./format.js";
import { Quiet, RunLink, Shape, Table, Time, useShorter } from "./parts.js";
import { KIND_OF_RUN } from "./verdict.js";

const { createElement: h } = globalThis.React;

const KIND_OF_STEP = { done: "good", failed: "bad", planned: "unknown" };

export function Runs({ runs }) {
  const [shorter, button] = useShorter(runs, 6);
  if (!Array.isArray(runs) || !runs.length) return h(Quiet, null, "No run has been recorded.");
  return h(
    "div",
    null,
    h(
      "ol",
      { className: "ss-strip", "aria-label": "The last runs, the newest last" },
      [...runs].reverse().map((run) => h("li", { key: run.run_id }, h(Cell, { run }))),
    ),
    h(Table, {
      label: "The last runs, the newest first",
      columns: ["Started", "State", "Took", "New plays", "Users", "Parts"],
      rows: shorter.map((run) => ({ key: run.run_id, cells: cells(run) })),
    }),
    button,
  );
}

function Cell({ run }) {
  const at = instant(run.started_at);
  const text = `${run.state ?? "unknown"}, started ${utc(run.started_at)}, ${counted(run.plays, "new play")}`;
  return h(
    RunLink,
    {
      run,
      className: `ss-run ss-${KIND_OF_RUN[run.state] ?? "unknown"}`,
      title: text,
      "aria-label": `Run ${text}`,
    },
    h(Shape, { kind: KIND_OF_RUN[run.state] }),
    h("span", { "aria-hidden": true }, hour(at)),
  );
}

function cells(run) {
  return [
    h(RunLink, { run, title: run.run_id }, h(Time, { at: run.started_at })),
    h(
      "span",
      { className: "ss-state" },
      h(Shape, { kind: KIND_OF_RUN[run.state] }),
      run.state ?? "unknown",
    ),
    duration(minutesBetween(run.started_at, run.ended_at)),
    count(run.plays),
    count(run.users),
    h(
      "div",
      null,
      h(Parts, { steps: run.steps }),
      run.problem && h("p", { className: "ss-problem" }, run.problem),
    ),
  ];
}

function Parts({ steps }) {
  if (!Array.isArray(steps) || !steps.length) return null;
  return h(
    "ul",
    { className: "ss-parts" },
    steps.map((step) =>
      h(
        "li",
        { key: step.step, title: step.problem ?? undefined },
        h(Shape, { kind: KIND_OF_STEP[step.state], label: step.state ?? "unknown" }),
        step.step,
        step.parts > 1 &&
          h(
            "span",
            { className: "ss-note" },
            step.failed
              ? `${count(step.failed)} of ${count(step.parts)} failed`
              : `×${count(step.parts)}`,
          ),
      ),
    ),
  );
}
