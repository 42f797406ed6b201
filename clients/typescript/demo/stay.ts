import { isProblem, type Schemas } from "../src/index.js";
import { signedIn } from "./account.js";
import { action, byId, el, refusals, show } from "./dom.js";
import { openTalk } from "./talk.js";
import { dayAhead, dayWords, here, many, money, plain, timeWords } from "./words.js";
import { karibu, type Place } from "./world.js";

const dialog = byId<HTMLDialogElement>("place");

interface Wish {
  check_in: string;
  check_out: string;
  guests: number;
  currency: string;
}

type Quote = Schemas["QuoteOut"];
type Booking = Schemas["BookingOut"];

/** Show a place, what a stay there costs, and the way to book it. */
export function openPlace(place: Place, wish: Wish): void {
  const pictures = place.photos.map((each) => el("img", { src: here(each.url), alt: each.caption || place.title, loading: "lazy" }));
  const facts = [
    plain(place.room_type),
    plain(place.property_type),
    many(place.bedrooms, "bedroom"),
    many(place.beds, "bed"),
    many(place.bathrooms, "bathroom"),
  ];
  const about = el(
    "div",
    { class: "about" },
    el("p", { class: "soft" }, facts.join(" · ")),
    el("p", {}, place.description),
    el("ul", { class: "tags", "aria-label": "Amenities" }, ...place.amenities.map((each) => el("li", {}, plain(each)))),
    place.house_rules && el("h3", {}, "The rules of the house"),
    place.house_rules && el("p", { class: "soft" }, place.house_rules),
  );
  const offer = el("div", { class: "offer" });
  show(
    dialog,
    place.title,
    el("p", { class: "soft" }, `${place.location} · with ${place.host.first_name || place.owner}`),
    pictures.length > 0 && el("div", { class: "gallery", tabindex: "0", role: "group", "aria-label": "Pictures" }, ...pictures),
    el("div", { class: "stay" }, about, offer),
  );
  dialog.scrollTop = 0;
  askPrice(offer, place, wish);
}

/** The form of a stay with its price below, which is asked for anew whenever the stay changes. */
function askPrice(offer: HTMLElement, place: Place, wish: Wish): void {
  const { place: refused, tell } = refusals();
  const form = el(
    "form",
    { class: "dates" },
    el("label", {}, "Check in", el("input", { name: "check_in", type: "date", value: wish.check_in, min: dayAhead(0), required: "" })),
    el("label", {}, "Check out", el("input", { name: "check_out", type: "date", value: wish.check_out, min: dayAhead(1), required: "" })),
    el("label", {}, "Guests", el("input", { name: "guests", type: "number", value: wish.guests, min: 1, max: place.max_guests, required: "" })),
  );
  const price = el("div", { "aria-live": "polite" });
  let turn = 0;

  const ask = async (): Promise<void> => {
    const mine = (turn += 1);
    const fields = new FormData(form);
    const stay = {
      check_in: String(fields.get("check_in")),
      check_out: String(fields.get("check_out")),
      guests: Number(fields.get("guests")),
      ...(wish.currency ? { currency: wish.currency } : {}),
    };
    tell(null);
    try {
      const quote = await karibu.post("/api/properties/{property_id}/quote/", {
        params: { path: { property_id: place.id } },
        body: stay,
      });
      if (mine === turn) price.replaceChildren(offered(quote, () => signedIn(() => void book(quote)), place));
    } catch (error) {
      if (mine !== turn) return;
      price.replaceChildren();
      tell(error);
    }
  };
  const book = async (quote: Quote): Promise<void> => {
    const button = offer.querySelector<HTMLButtonElement>("button.main");
    if (button) button.disabled = true;
    tell(null);
    try {
      const { check_in, check_out, guests, quote_token } = quote;
      const body = { property_id: place.id, check_in, check_out, guests, quote_token };
      settle(offer, await karibu.post("/api/bookings/", { body }));
    } catch (error) {
      // The price that was shown is not to be had any more: show the one that is.
      if (isProblem(error, "quote_expired", "price_changed")) await ask();
      tell(error);
      if (button) button.disabled = false;
    }
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => void ask());
  offer.replaceChildren(el("h3", {}, "Your stay"), form, price, refused);
  void ask();
}

/** A quote line by line, and the button that takes it. */
function offered(quote: Quote, take: () => void, place: Place): HTMLElement {
  const [first] = quote.cancellation.timeline;
  return el(
    "div",
    { class: "rows" },
    lines(quote.lines, quote.total_price, quote.currency),
    first && el("p", { class: "hint" }, first.sentence),
    el("button", { type: "button", class: "main", on: { click: take } }, place.instant_book ? "Book" : "Ask the host"),
  );
}

function lines(priced: Schemas["LineOut"][], total: number, currency: string): HTMLElement {
  const row = (text: string, amount: number, names = "") =>
    el("div", { class: names }, el("dt", {}, text), el("dd", {}, money(amount, currency)));
  return el("dl", { class: "lines" }, ...priced.map((each) => row(each.description, each.amount)), row("Total", total, "total"));
}

/** What is left to do about a booking: pay it, wait for the host, or look forward to it. */
function settle(offer: HTMLElement, booking: Booking): void {
  const { place: refused, tell } = refusals();
  const params = { path: { booking_id: booking.id } };
  const pay = (outcome: "succeed" | "decline") => async (): Promise<void> => {
    await karibu.post("/api/bookings/{booking_id}/pay/", { params, body: { provider: "sandbox", outcome } });
    settle(offer, await karibu.get("/api/bookings/{booking_id}/", { params }));
  };
  const isDue = booking.status === "pending" && booking.payment_status === "unpaid";
  const talk = booking.conversation_id;
  offer.replaceChildren(
    el("h3", {}, `${dayWords(booking.check_in)} – ${dayWords(booking.check_out)}`),
    el("p", { class: "soft" }, `${booking.reference} · ${many(booking.nights, "night")} · ${many(booking.guests, "guest")}`),
    el("p", { class: booking.status === "confirmed" ? "done" : "", role: "status" }, standing(booking)),
    lines(booking.price_breakdown, booking.total_price, booking.currency),
    refused,
  );
  if (isDue) {
    const price = money(booking.total_price, booking.currency);
    const buttons = [action(`Pay ${price}`, pay("succeed"), tell), action("Try a card that is refused", pay("decline"), tell, false)];
    offer.append(el("div", { class: "buttons" }, ...buttons));
  }
  if (talk !== null && talk !== undefined) {
    const write = async (): Promise<void> => openTalk(talk, booking.property);
    offer.append(action("Write to the host", write, tell, booking.status === "confirmed"));
  }
  offer.scrollIntoView({ block: "nearest" });
}

function standing(booking: Booking): string {
  if (booking.status !== "pending") return `Your stay is ${booking.status}.`;
  const until = booking.expires_at ? ` until ${timeWords(booking.expires_at)}` : "";
  if (booking.payment_status !== "unpaid") return `Paid. The host may answer${until}.`;
  return `The nights are held for you${until}.`;
}

/** Show a booking again: the place, and what is left to do. */
export async function openBooking(bookingId: number): Promise<void> {
  const booking = await karibu.get("/api/bookings/{booking_id}/", { params: { path: { booking_id: bookingId } } });
  const offer = el("div", { class: "offer" });
  show(dialog, booking.property, offer);
  settle(offer, booking);
}
