// How it stands, in a word and a sentence.

import { counted, duration, instant, isNumber, minutesBetween, utc, list } from "./format.js";

export const DAG = "load_listening_history";

/** A snapshot that is older was due to be followed by another: `songswap check --fresh 90m`. */
const STALE_MINUTES = 90;

const FAILED = new Set(["failed", "died"]);

/** The kinds of a state and of its shape, by the states of runs. */
export const KIND_OF_RUN = {
  success: "good",
  failed: "bad",
  died: "bad",
  paused: "paused",
  running: "running",
};

/** Return the kind, the word, the sentence, and what to do (or null) of a snapshot. */
export function verdict(data, now) {
  const takenAt = instant(data.taken_at);
  if (takenAt === null) {
    return {
      kind: "unknown",
      word: "No data yet",
      sentence: "No run has written a snapshot yet: the hourly load writes one at its end.",
      todo: "Switch the DAG on and wait for the end of its first run.",
    };
  }
  const age = minutesBetween(takenAt, now);
  const run = data.run ?? list(data.runs)[0] ?? null;
  if (age > STALE_MINUTES) return stale(data, age);
  if (run && FAILED.has(run.state)) return failing(data, run, now);
  const pause = list(data.requests?.pauses).find(
    (one) => stopsPolls(one) && instant(one?.until) > now,
  );
  if (pause || run?.state === "paused") return paused(pause, run);
  const silent = list(data.hosts).filter((host) => host?.is_silent && waiting(host) > 0);
  return silent.length ? needsLook(silent) : fresh(data, run, now);
}

/** Whether a pause is that of all requests to Spotify: not of an endpoint, or of ReccoBeats. */
const stopsPolls = (pause) => pause?.app !== "reccobeats" && !String(pause?.app).includes(" ");

/** How much waits on a host. */
export const waiting = (host) =>
  ["waiting_for_s3", "waiting_for_warehouse", "waiting_tokens"]
    .map((name) => host?.[name])
    .filter(isNumber)
    .reduce((one, other) => one + other, 0);

function needsLook(silent) {
  const items = silent.reduce((all, host) => all + waiting(host), 0);
  const names = silent.map((host) => host.host).join(", ");
  return {
    kind: "warn",
    word: "Needs a look",
    sentence:
      `${counted(silent.length, "host")} (${names}) did not report for 30 minutes, with` +
      ` ${counted(items, "response or token", "responses and tokens")} in the spool there.`,
    todo: "Start it: what waits there is stored then. The runs themselves end well.",
  };
}

function stale(data, age) {
  return {
    kind: "bad",
    word: "Stale",
    sentence:
      `No hourly run has ended for ${duration(age)}: what you see is as it was on` +
      ` ${utc(data.taken_at)}.`,
    todo:
      "Look whether the DAG is paused, a run hangs, or the scheduler is down (Airflow's home shows" +
      " it). Spotify keeps a user's last 50 plays alone: until the next run, plays may be lost.",
  };
}

function failing(data, run, now) {
  const since = list(data.runs).findIndex((one) => !FAILED.has(one?.state));
  const inRow = since < 0 ? list(data.runs).length : since;
  const before = inRow > 1 ? `, as did ${counted(inRow - 1, "run")} before it` : "";
  const ago = duration(minutesBetween(run.ended_at ?? run.started_at, now));
  return {
    kind: "bad",
    word: "Failing",
    sentence: `The last run ${run.state === "died" ? "was killed" : "failed"} ${ago} ago${before}.`,
    problem: run.problem,
    todo:
      "The log of its task summarise names each part that failed. What Spotify has answered is kept:" +
      " the next run loads it.",
  };
}

function paused(pause, run) {
  return {
    kind: "paused",
    word: "Paused",
    sentence: pause
      ? `Spotify takes no requests until ${utc(pause.until)}.`
      : "The last run was cut short by a pause that Spotify or ReccoBeats asked for.",
    problem: pause?.reason ?? run?.problem,
    todo: "Nothing: the first run after that goes on.",
  };
}

function fresh(data, run, now) {
  const newest = minutesBetween(data.freshness?.newest_play, now);
  const plays =
    newest === null ? "There are no plays yet" : `The newest play is ${duration(newest)} old`;
  const ended = minutesBetween(run?.ended_at, now);
  const last = ended === null ? "." : `; the last run ended well ${duration(ended)} ago.`;
  return { kind: "good", word: "Fresh", sentence: plays + last, todo: null };
}
