import { isProblem } from "../src/index.js";

type Child = Node | string | null | undefined | false;

interface Attributes {
  class?: string;
  on?: { [E in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[E]) => void };
  data?: Record<string, string>;
  [name: string]: unknown;
}

/** An element with its attributes and children. Texts stay texts: nothing is ever read as markup. */
export function el<T extends keyof HTMLElementTagNameMap>(
  tag: T,
  { class: names, on, data, ...attributes }: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[T] {
  const made = document.createElement(tag);
  if (names) made.className = names;
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) made.setAttribute(name, String(value));
  }
  for (const [event, hear] of Object.entries(on ?? {})) made.addEventListener(event, hear as EventListener);
  Object.assign(made.dataset, data);
  made.append(...children.filter((each): each is Node | string => each instanceof Node || Boolean(each)));
  return made;
}

/** The element that the page has under this id. */
export function byId<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return found as T;
}

/** The one element inside another that a selector names. */
export function inside<T extends HTMLElement>(within: ParentNode, selector: string): T {
  const found = within.querySelector<T>(selector);
  if (!found) throw new Error(`There is no ${selector}.`);
  return found;
}

/** Fill a dialog, with its title and a way out, and show it. */
export function show(dialog: HTMLDialogElement, title: string, ...children: Child[]): void {
  const close = el("form", { method: "dialog" }, el("button", { "aria-label": "Close" }, "×"));
  dialog.replaceChildren(el("header", {}, el("h2", { id: `${dialog.id}-title` }, title), close));
  dialog.append(...children.filter((each): each is Node | string => each instanceof Node || Boolean(each)));
  if (!dialog.open) dialog.showModal();
}

/** Where a refusal is said: `tell(error)` says it, `tell(null)` takes it back. */
export function refusals(): { place: HTMLElement; tell: (error: unknown) => void } {
  const place = el("p", { class: "refused", role: "alert", hidden: "" });
  return { place, tell: (error) => tell(place, error) };
}

/** Say an error in this place, field by field where the server names fields; null takes it back. */
export function tell(place: HTMLElement, error: unknown): void {
  place.hidden = error === null;
  if (error === null) return;
  if (!isProblem(error)) console.warn(error);
  place.textContent = wording(error);
}

function wording(error: unknown): string {
  if (!isProblem(error)) return "The server could not be reached. Please try again.";
  const fields = error.errors.map((each) => (each.field ? `${each.field}: ${each.message}` : each.message));
  return fields.join(" ") || error.message;
}

/** A button that does something that takes time: it rests meanwhile, and a refusal is said. */
export function action(text: string, does: () => Promise<void>, say: (error: unknown) => void, main = true) {
  const button = el("button", { type: "button", class: main ? "main" : "" }, text);
  button.addEventListener("click", async () => {
    button.disabled = true;
    say(null);
    try {
      await does();
    } catch (error) {
      say(error);
    } finally {
      button.disabled = false;
    }
  });
  return button;
}
