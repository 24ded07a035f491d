// What is known of tracks and artists, and the requests that this takes.

import { count, counted, instant, isNumber, list } from "./format.js";
import { Quiet, Shape, Share, Time, ordered } from "./parts.js";

const { createElement: h } = globalThis.React;

const NAMES = {
  features: "audio features",
  images: "images",
  popularity: "popularity",
  followers: "followers",
  genres: "genres",
  preview: "previews",
};

export function Coverage({ catalogue }) {
  const missing = catalogue.missing ?? {};
  return h(
    "div",
    { className: "ss-two" },
    h(Covered, {
      title: "Tracks",
      counts: catalogue.tracks,
      fetched: missing.track,
      features: missing.features,
    }),
    h(Covered, { title: "Artists", counts: catalogue.artists, fetched: missing.artist }),
  );
}

function Covered({ title, counts, fetched, features }) {
  if (!counts)
    return h(
      "div",
      null,
      h("h3", null, title),
      h(Quiet, null, "The snapshot says nothing about these."),
    );
  const names = ordered(counts, Object.keys(NAMES)).filter((name) => name !== "total");
  return h(
    "div",
    null,
    h("h3", null, `${count(counts.total)} ${title.toLowerCase()}`),
    h(
      "ul",
      { className: "ss-shares" },
      names.map((name) =>
        h(Share, {
          key: name,
          name: NAMES[name] ?? name,
          part: counts[name],
          total: counts.total,
          note:
            isNumber(counts[name]) && counts[name] < counts.total
              ? `${count(counts.total - counts[name])} without`
              : null,
        }),
      ),
    ),
    h(Backlog, { what: title.toLowerCase(), of: fetched }),
    features && h(Backlog, { what: "audio features", of: features }),
  );
}

function Backlog({ what, of }) {
  if (!of) return null;
  const text =
    `To fetch of ${what}: ${count(of.missing)} next, ${count(of.waiting)} later;` +
    ` ${count(of.unknown)} are unknown to Spotify.`;
  return h("p", { className: "ss-note" }, text);
}

function pausedName(app) {
  if (app === "reccobeats") return "ReccoBeats";
  const [id, ...endpoint] = app.split(" ");
  return endpoint.length ? `Endpoint ${endpoint.join(" ")} of app ${id}` : `App ${id}`;
}

export function Requests({ requests, now }) {
  const pauses = list(requests.pauses);
  return h(
    "div",
    null,
    pauses.map((pause) =>
      h(
        "p",
        { key: `${pause.app}${pause.until}`, className: "ss-state" },
        h(Shape, { kind: "paused" }),
        h(
          "span",
          null,
          pausedName(String(pause.app)),
          instant(pause.until) > now ? ": no requests until " : ": was paused until ",
          h(Time, { at: pause.until }),
          pause.reason && ` (${pause.reason})`,
        ),
      ),
    ),
    h(
      "ul",
      { className: "ss-shares" },
      h(Used, { name: "in 30 s", used: requests.in_window, limit: requests.per_window }),
      h(Used, { name: "in 24 hours", used: requests.last_day, limit: requests.per_day }),
    ),
    isNumber(requests.users_an_hour) &&
      h(
        "p",
        { className: "ss-note" },
        `The limits serve ${counted(requests.users_an_hour, "user")} an hour.`,
      ),
  );
}

function Used({ name, used, limit }) {
  if (isNumber(limit))
    return h(Share, { name, part: used, total: limit, note: `${count(used)} of ${count(limit)}` });
  return h(
    "li",
    { className: "ss-share" },
    h("span", { className: "ss-share-name" }, name),
    h("span", { className: "ss-rest" }, `${counted(used, "request")}; no limit was met yet`),
  );
}
