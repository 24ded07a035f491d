// Who has to be erased, and which erasures are not done yet.

import { count, counted, day, instant, list } from "./format.js";
import { Quiet, Shape, Table, Time, UserLink, useShorter } from "./parts.js";

const { Fragment, createElement: h } = globalThis.React;

const DAY = 86_400_000;

export const WHY_DUE = {
  revoked: "grant revoked at Spotify",
  gone: "gone from the platform",
};

/** How urgent a day is, in a shape and in words. */
export function urgency(at, now) {
  const days = Math.round((at - Math.floor(now / DAY) * DAY) / DAY);
  if (days < 0) return ["bad", "overdue"];
  if (days === 0) return ["bad", "today"];
  return days === 1 ? ["warn", "tomorrow"] : ["unknown", `in ${counted(days, "day")}`];
}

export function Erasing({ erasing, now }) {
  const due = byDay(list(erasing.due));
  const open = list(erasing.open);
  const [shown, button] = useShorter(due, 6);
  const more = erasing.due_users - list(erasing.due).length;
  return h(
    "div",
    null,
    h(Table, {
      label: "Users who have to be erased",
      columns: ["By", "Why", "Users"],
      empty: "Nobody has to be erased.",
      rows: shown.map(({ at, reason, users }) => {
        const [kind, word] = urgency(at, now);
        return {
          key: `${at} ${reason}`,
          cells: [
            h(
              "span",
              { className: "ss-state" },
              h(Shape, { kind, label: word }),
              h("span", null, `${day(at)} `, h("span", { className: "ss-note" }, word)),
            ),
            WHY_DUE[reason] ?? reason,
            h("span", null, separated(users)),
          ],
        };
      }),
    }),
    button,
    more > 0 &&
      h(Quiet, null, `And ${count(more)} more, later: songswap erase --due shows all.`),
    open.length > 0 && h("h3", null, "Erasures that are not done yet"),
    open.length > 0 &&
      h(Table, {
        label: "Erasures that are not done yet",
        columns: ["User", "Requested", "Waits for"],
        empty: "",
        rows: open.map((one) => ({
          key: `${one.user_id} ${one.requested_at}`,
          cells: [
            h(UserLink, { id: one.user_id }),
            h(Time, { at: one.requested_at }),
            h(Places, { places: list(one.waits_for) }),
          ],
        })),
      }),
  );
}

const NAMES = { warehouse: "the warehouse", s3: "S3" };

export function Places({ places }) {
  if (!places.length) return "its end";
  return h(
    "span",
    null,
    places.map(({ place, host, problem }) =>
      h(
        "span",
        { key: `${place} ${host}`, className: "ss-block" },
        NAMES[place] ?? `the spool of ${host ?? "a host"}`,
        problem && h("span", { className: "ss-block ss-problem" }, problem),
      ),
    ),
  );
}

/** Users of a day and a reason together, the first day first. */
function byDay(users) {
  const rows = new Map();
  for (const user of users) {
    const at = instant(user.day);
    const key = `${at} ${user.reason}`;
    if (!rows.has(key)) rows.set(key, { at, reason: user.reason, users: [] });
    rows.get(key).users.push(user.user_id);
  }
  return [...rows.values()];
}

const separated = (users) =>
  users.map((id, n) => h(Fragment, { key: id }, n > 0 && ", ", h(UserLink, { id })));
