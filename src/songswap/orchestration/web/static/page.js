// Airflow imports this module, and finds the page and the panel by their names. Airflow has put
// React, its router and its theme there before.

import { Coverage, Requests } from "./coverage.js";
import { useData } from "./data.js";
import { utc } from "./format.js";
import { Erasing } from "./erasing.js";
import { Freshness, Plays } from "./freshness.js";
import { Hosts } from "./hosts.js";
import { Notice } from "./notice.js";
import { Panel } from "./panel.js";
import { Guard, Quiet, Section, Shape, Time, UserForm } from "./parts.js";
import { Runs } from "./runs.js";
import { Tiles } from "./tiles.js";
import { User } from "./user.js";
import { Gaps, Grants, Imports } from "./users.js";
import { DAG, verdict } from "./verdict.js";

const { createElement: h } = globalThis.React;
const { Link, useSearchParams } = globalThis.ReactRouterDOM;

/** Without its style the page would jump when that arrives. */
function addStyle() {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL("page.css", import.meta.url).href;
  return new Promise((done) => {
    link.onload = link.onerror = done;
    document.head.append(link);
  });
}

function Page() {
  const [params] = useSearchParams();
  const user = params.get("user");
  return h(
    "div",
    { className: "songswap" },
    user === null ? h(All) : h(User, { id: user, key: user }),
  );
}

function All() {
  const { data, problem, now, loading, refresh } = useData("snapshot");
  const [, setParams] = useSearchParams();
  return h(
    "div",
    { className: "ss-page", "aria-busy": loading },
    h(
      "header",
      { className: "ss-top" },
      h("h1", null, "SongSwap"),
      h(UserForm, { onUser: (id) => setParams({ user: String(id) }) }),
    ),
    problem && h(Notice, { problem, old: data !== null }),
    !data && !problem && h(Quiet, null, "Loading …"),
    data && h(Guard, { version: data.read_at }, h(Banner, { data, now, loading, refresh })),
    data?.taken_at && h(Guard, { version: data.read_at }, h(Sections, { data, now })),
  );
}

function Banner({ data, now, loading, refresh }) {
  const { kind, word, sentence, problem, todo } = verdict(data, now);
  return h(
    "div",
    { className: `ss-banner ss-is-${kind}` },
    h(Shape, { kind }),
    h(
      "div",
      { role: "status" },
      h("p", { className: "ss-word" }, word),
      h("p", null, sentence),
      problem && h("p", { className: "ss-problem" }, problem),
      todo &&
        h(
          "p",
          null,
          todo,
          " ",
          h(Link, { to: `/dags/${DAG}`, className: "ss-link" }, `Open ${DAG}`),
        ),
    ),
    h(
      "div",
      { className: "ss-aside" },
      data.taken_at && h("span", null, "Snapshot of ", h(Time, { at: data.taken_at })),
      h("span", null, `Read ${utc(data.read_at)}`),
      h(
        "button",
        { type: "button", className: "ss-button", onClick: refresh, "aria-disabled": loading },
        "Refresh",
      ),
    ),
  );
}

function Sections({ data, now }) {
  const version = data.taken_at;
  const counted = data.catalogue?.counted_at;
  const between = data.polls_between;
  const part = (id, title, wide, of, render, note) =>
    h(Section, { id, title, wide, of, version, note }, render);
  return h(
    "div",
    { className: "ss-page" },
    h(Guard, { version }, h(Tiles, { data, now })),
    h(
      "div",
      { className: "ss-grid12" },
      part(
        "plays",
        "Plays an hour",
        "ss-w8",
        data.plays_by_hour,
        () => h(Plays, { data, now }),
        "UTC",
      ),
      part("freshness", "Freshness", "ss-w4", data.freshness, () =>
        h(Freshness, { freshness: data.freshness }),
      ),
      part(
        "runs",
        "Hourly runs",
        "ss-w12",
        data.runs,
        () => h(Runs, { runs: data.runs }),
        between &&
          `Between them ${between.runs} polls of heavy listeners in 24 hours, ${between.failed} failed`,
      ),
      part(
        "coverage",
        "Coverage",
        "ss-w8",
        data.catalogue,
        () => h(Coverage, { catalogue: data.catalogue }),
        counted && ["counted ", h(Time, { key: 1, at: counted })],
      ),
      part("requests", "Requests to Spotify", "ss-w4", data.requests, () =>
        h(Requests, { requests: data.requests, now }),
      ),
      part("gaps", "Gaps", "ss-w6", data.gaps, () => h(Gaps, { gaps: data.gaps })),
      part("grants", "Grants", "ss-w6", data.grants, () => h(Grants, { grants: data.grants, now })),
      part("hosts", "Hosts and their spools", "ss-w6", data.hosts, () =>
        h(Hosts, { hosts: data.hosts }),
      ),
      part("imports", "Imports", "ss-w6", data.imports, () =>
        h(Imports, { imports: data.imports }),
      ),
      part("erasing", "To erase", "ss-w12", data.erasing, () =>
        h(Erasing, { erasing: data.erasing, now }),
      ),
    ),
  );
}

await addStyle();
globalThis.SongSwap = Page;
globalThis["SongSwap panel"] = Panel;
