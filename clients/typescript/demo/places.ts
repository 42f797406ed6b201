import type { Schemas } from "../src/index.js";
import { byId, el } from "./dom.js";
import { openPlace } from "./stay.js";
import { dayAhead, here, many, money } from "./words.js";
import { karibu, type Place } from "./world.js";

const form = byId<HTMLFormElement>("search");
const list = byId<HTMLUListElement>("places");
const found = byId("found");
const more = byId<HTMLButtonElement>("more");

/** Which search is the newest: the answer of an older one is of no use any more. */
let turn = 0;
let next: string | null | undefined = null;

/** Search whenever it is asked for, and once for whoever only looks. */
export async function prepareSearch(): Promise<void> {
  field("check_in").value = dayAhead(30);
  field("check_out").value = dayAhead(33);
  field("check_in").min = dayAhead(0);
  field("check_in").addEventListener("change", keepOrder);
  field("location").addEventListener("input", () => void suggest());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void search();
  });
  more.addEventListener("click", () => void further());
  keepOrder();
  await Promise.all([search(), offerCurrencies()]);
}

/** The stay that is looked for. */
export function wanted(): { check_in: string; check_out: string; guests: number; currency: string } {
  const guests = Number(field("guests").value) || 1;
  return { check_in: field("check_in").value, check_out: field("check_out").value, guests, currency: field("currency").value };
}

function field(name: string): HTMLInputElement {
  return form.elements.namedItem(name) as HTMLInputElement;
}

/** A stay ends after it begins: leaving moves along with arriving. */
function keepOrder(): void {
  const arrival = field("check_in").value;
  if (!arrival) return;
  const nextDay = new Date(Date.parse(`${arrival}T00:00Z`) + 86_400_000).toISOString().slice(0, 10);
  field("check_out").min = nextDay;
  if (field("check_out").value < nextDay) field("check_out").value = nextDay;
}

async function search(): Promise<void> {
  const mine = (turn += 1);
  found.textContent = "Looking …";
  const { currency, ...stay } = wanted();
  const where = field("location").value.trim();
  const query = { ...stay, ...(where ? { location: where } : {}), ...(currency ? { currency } : {}) };
  try {
    const page = await karibu.get("/api/properties/", { params: { query } });
    if (mine !== turn) return;
    const count = `${page.count}${page.count_is_exact ? "" : "+"}`;
    found.textContent = page.count ? `${count} ${page.count === 1 ? "place is" : "places are"} free then` : "Nothing is free then";
    list.replaceChildren(...page.results.map(card));
    goOn(page.next);
  } catch (error) {
    if (mine !== turn) return;
    found.textContent = error instanceof Error ? error.message : "The search failed.";
    list.replaceChildren();
    goOn(null);
  }
}

async function further(): Promise<void> {
  if (!next) return;
  const mine = turn;
  more.disabled = true;
  const page = (await karibu.follow(next).finally(() => {
    more.disabled = false;
  })) as Schemas["Page_SearchResult_"];
  if (mine !== turn) return;
  const added = page.results.map(card);
  list.append(...added);
  goOn(page.next);
  added[0]?.querySelector("button")?.focus();
}

function goOn(address: string | null | undefined): void {
  next = address;
  more.hidden = !address;
}

function card(place: Place): HTMLLIElement {
  const [cover] = place.photos;
  const { currency } = place;
  const picture = cover
    ? el("img", { src: here(cover.thumbnail_url ?? cover.url), alt: "", loading: "lazy" })
    : el("span", { class: "none", "aria-hidden": "true" }, "⌂");
  const total = place.total_price === null || place.total_price === undefined ? null : money(place.total_price, currency);
  const rating = place.rating ? `★ ${place.rating.toFixed(1)} (${place.review_count})` : "New";
  const words = el(
    "span",
    { class: "words" },
    el("span", { class: "top" }, el("strong", { class: "name" }, place.title), el("span", { class: "soft" }, rating)),
    el("span", { class: "soft" }, place.location),
    el("span", { class: "soft" }, `${many(place.max_guests, "guest")} · ${many(place.bedrooms, "bedroom")} · ${many(place.beds, "bed")}`),
    el("span", { class: "price" }, el("b", {}, money(place.price_per_night, currency)), " a night", total && ` · ${total} in all`),
  );
  const badge = place.instant_book ? null : el("span", { class: "badge" }, "On request");
  const open = () => openPlace(place, wanted());
  return el(
    "li",
    {},
    el("button", { type: "button", class: "card", on: { click: open } }, el("span", { class: "picture" }, picture, badge), words),
  );
}

async function suggest(): Promise<void> {
  const q = field("location").value.trim();
  if (q.length < 2) return;
  const { results } = await karibu.get("/api/locations/", { params: { query: { q } } });
  byId("locations").replaceChildren(...results.map((each) => el("option", { value: each.label })));
}

async function offerCurrencies(): Promise<void> {
  const { results } = await karibu.get("/api/currencies/");
  const options = results.map((each) => el("option", { value: each.code }, `${each.code} · ${each.name}`));
  field("currency").append(...options);
}
