import { byId, el, inside, tell } from "./dom.js";
import { arrive, karibu, onChange, whoAmI } from "./world.js";

const dialog = byId<HTMLDialogElement>("account");
const form = byId<HTMLFormElement>("account-form");
const button = byId<HTMLButtonElement>("open-account");
const refused = inside(form, ".refused");

let afterwards: (() => void) | null = null;

/** Ask who it is, then go on with `next`; at once when that is known. */
export function signedIn(next: () => void): void {
  if (whoAmI()) {
    next();
    return;
  }
  afterwards = next;
  tell(refused, null);
  dialog.showModal();
}

/** Let people come and go by the button of the page's head. */
export function prepareAccount(): void {
  button.addEventListener("click", () => {
    if (whoAmI()) void karibu.signOut();
    else signedIn(() => undefined);
  });
  onChange((me) => {
    const name = me ? el("span", { class: "who" }, me.profile.first_name || me.profile.username) : "";
    button.replaceChildren(me ? "Sign out " : "Sign in", name);
    button.classList.toggle("main", !me);
    for (const id of ["open-trips", "open-talks", "open-notices"]) byId(id).hidden = !me;
  });
  form.addEventListener("change", choose);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void enter();
  });
  dialog.addEventListener("close", () => {
    inside<HTMLInputElement>(form, "[name=password]").value = "";
    if (!whoAmI()) afterwards = null;
  });
}

/** Show what the chosen way needs, and nothing else. */
function choose(): void {
  const wish = String(new FormData(form).get("wish"));
  for (const each of form.querySelectorAll<HTMLElement>("[data-for]")) {
    each.hidden = each.dataset["for"] !== wish;
    const control = each instanceof HTMLButtonElement ? each : each.querySelector("input");
    if (control) control.disabled = each.hidden;
  }
  const known = wish === "register" ? "new-password" : "current-password";
  inside<HTMLInputElement>(form, "[name=password]").autocomplete = known;
}

async function enter(): Promise<void> {
  const fields = new FormData(form);
  const text = (name: string) => String(fields.get(name) ?? "");
  const username = text("username");
  const password = text("password");
  tell(refused, null);
  try {
    if (text("wish") === "register") await karibu.register({ username, email: text("email"), password });
    else await karibu.signIn({ username, password });
    await arrive();
  } catch (error) {
    tell(refused, error);
    return;
  }
  const next = afterwards;
  afterwards = null;
  dialog.close();
  next?.();
}
