import type { Schemas } from "../src/index.js";
import { byId, el, inside, show } from "./dom.js";
import { openBooking } from "./stay.js";
import { isReading } from "./talk.js";
import { dayWords, money, timeWords } from "./words.js";
import { karibu, onChange } from "./world.js";

const dialog = byId<HTMLDialogElement>("notices");
const trips = byId<HTMLDialogElement>("trips");
const connection = byId("connection");
const toasts = byId("toasts");

const TOAST_MS = 9_000;
const MOST_TOASTS = 2;

type Notice = Schemas["NotificationOut"];

let unread = 0;

/** Count and show what the server tells while the page is open. */
export function prepareNotices(): void {
  byId("open-notices").addEventListener("click", () => void openNotices());
  byId("open-trips").addEventListener("click", () => void openTrips());
  onChange((me) => {
    connection.hidden = !me;
    count(0);
    if (!me) {
      dialog.close();
      trips.close();
      return;
    }
    me.live.onState((state) => {
      connection.dataset["state"] = state;
      connection.textContent = state === "open" ? "live" : "connecting …";
    });
    me.live.on("notification", ({ data }) => arrived(data));
    void karibu.get("/api/notifications/", { params: { query: { unread: true } } }).then((page) => count(page.count));
  });
}

function arrived(notice: Notice): void {
  const { conversation_id } = notice.data;
  if (notice.read_at || (typeof conversation_id === "number" && isReading(conversation_id))) return;
  count(unread + 1);
  const toast = el("div", { class: "toast" }, el("strong", {}, notice.title), el("p", {}, notice.body));
  toasts.append(toast);
  while (toasts.children.length > MOST_TOASTS) toasts.firstElementChild?.remove();
  // Shown anew each time, so that it lies above a dialog that was opened since.
  toasts.hidePopover();
  toasts.showPopover();
  setTimeout(() => {
    toast.remove();
    if (toasts.children.length === 0) toasts.hidePopover();
  }, TOAST_MS);
}

function count(next: number): void {
  unread = next;
  const badge = inside(byId("open-notices"), ".count");
  badge.hidden = unread === 0;
  badge.textContent = String(unread);
}

async function openNotices(): Promise<void> {
  const { results } = await karibu.get("/api/notifications/");
  const rows = results.map((each) =>
    el(
      "li",
      { class: each.read_at ? "row" : "row new" },
      el("span", { class: "top" }, el("strong", {}, each.title), el("span", { class: "soft" }, timeWords(each.created_at))),
      el("span", { class: "soft" }, each.body),
    ),
  );
  const nothing = rows.length === 0 && el("p", { class: "soft" }, "Nothing has happened yet.");
  show(dialog, "Notices", nothing, el("ul", { class: "rows" }, ...rows));
  if (unread > 0) await karibu.post("/api/notifications/read-all/");
  count(0);
}

async function openTrips(): Promise<void> {
  const { results } = await karibu.get("/api/bookings/");
  const rows = results.map((each) => {
    const open = () => {
      trips.close();
      void openBooking(each.id);
    };
    return el(
      "li",
      {},
      el(
        "button",
        { type: "button", class: "row", on: { click: open } },
        el("span", { class: "top" }, el("strong", {}, each.property), el("span", { class: "state", data: { status: each.status } }, each.status)),
        el("span", { class: "soft" }, `${dayWords(each.check_in)} – ${dayWords(each.check_out)} · ${money(each.total_price, each.currency)}`),
      ),
    );
  });
  const nothing = rows.length === 0 && el("p", { class: "soft" }, "You have not booked anything yet.");
  show(trips, "Your stays", nothing, el("ul", { class: "rows" }, ...rows));
}
