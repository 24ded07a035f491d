// What the server says, refreshed each minute while somebody looks.

const { useCallback, useEffect, useRef, useState } = globalThis.React;

const EVERY_MS = 60_000;
const TIMEOUT_MS = 20_000;
const TICK_MS = 15_000;
const API = new URL("../../", import.meta.url);

const SENTENCES = {
  401: "Your login has ended. Log in to Airflow again.",
  403: "Your role may not read the DAG load_listening_history, so it may not see this page either.",
};

/** Fetch JSON; throws an error with a sentence and the status. */
async function read(path, signal) {
  let response;
  try {
    response = await fetch(new URL(path, API), { credentials: "same-origin", signal });
  } catch (error) {
    throw Object.assign(new Error("Airflow's api-server does not answer."), { cause: error });
  }
  if (response.ok) return response.json();
  const body = await response.json().catch(() => null);
  const own = typeof body?.detail === "string" ? body.detail : null;
  const sentence =
    SENTENCES[response.status] ?? own ?? `Airflow's api-server answered with ${response.status}.`;
  throw Object.assign(new Error(sentence), { status: response.status });
}

/**
 * The data of a path, and why the last attempt failed, if it did. Data stays when a refresh fails.
 *
 * `now` is the server's time, so that ages are right on a machine with a wrong clock.
 */
export function useData(path) {
  const [state, setState] = useState({ path, data: null, problem: null, received: 0 });
  const [loading, setLoading] = useState(true);
  const [, setTick] = useState(0);
  const running = useRef(null);
  const lastTry = useRef(0);

  const refresh = useCallback(async () => {
    running.current?.abort();
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), TIMEOUT_MS);
    running.current = controller;
    lastTry.current = Date.now();
    setLoading(true);
    let next;
    try {
      const data = await read(path, controller.signal);
      next = () => ({ path, data, problem: null, received: performance.now() });
    } catch (error) {
      const problem = { sentence: error.message, status: error.status ?? 0 };
      next = (before) => ({
        ...(before.path === path ? before : { data: null, received: 0 }),
        path,
        problem,
      });
    }
    clearTimeout(timer);
    // A newer request has taken over, or the page is gone.
    if (running.current !== controller) return;
    setState(next);
    setLoading(false);
  }, [path]);

  useEffect(() => {
    refresh();
    const look = () => {
      if (document.visibilityState !== "visible") return;
      if (Date.now() - lastTry.current >= EVERY_MS) refresh();
      setTick((tick) => tick + 1);
    };
    const timer = setInterval(look, TICK_MS);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
      running.current?.abort();
      running.current = null;
    };
  }, [refresh]);

  // Another user's data is not shown while this one's is read.
  const current = state.path === path ? state : { data: null, problem: null, received: 0 };
  const readAt = Date.parse(current.data?.read_at);
  const now = Number.isNaN(readAt) ? Date.now() : readAt + performance.now() - current.received;
  return { data: current.data, problem: current.problem, now, loading, refresh };
}
