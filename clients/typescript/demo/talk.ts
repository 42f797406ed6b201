import type { Live, Schemas, ServerFrames } from "../src/index.js";
import { byId, el, refusals, show } from "./dom.js";
import { many, timeWords } from "./words.js";
import { karibu, onChange, whoAmI } from "./world.js";

const dialog = byId<HTMLDialogElement>("talks");

/** How long somebody counts as writing after they were last seen to. */
const WRITING_MS = 6_000;
const SAY_AGAIN_MS = 3_000;

type Message = Schemas["MessageOut"] | ServerFrames["message"]["data"];

/** The conversation that is shown, and how to take what arrives. */
interface Shown {
  id: number;
  take: (message: Message) => void;
  writing: (isTyping: boolean) => void;
}

let shown: Shown | null = null;

/** Whether a conversation lies open before the reader's eyes. */
export function isReading(conversationId: number): boolean {
  return dialog.open && shown?.id === conversationId;
}

/** Let the button open the conversations, and messages arrive where they are read. */
export function prepareTalks(): void {
  byId("open-talks").addEventListener("click", () => void openTalks());
  dialog.addEventListener("close", () => {
    shown = null;
  });
  onChange((me) => {
    if (me) listen(me.live);
    else dialog.close();
  });
}

function listen(live: Live): void {
  live.on("message", ({ data }) => {
    if (data.conversation_id === shown?.id) shown.take(data);
  });
  live.on("typing", ({ data }) => {
    if (data.conversation_id === shown?.id) shown.writing(data.is_typing);
  });
}

async function openTalks(): Promise<void> {
  shown = null;
  const { results } = await karibu.get("/api/conversations/");
  const rows = results.map((each) => {
    const open = () => void openTalk(each.id, each.property);
    const unread = each.unread_count ? el("span", { class: "count" }, String(each.unread_count)) : null;
    return el(
      "li",
      {},
      el(
        "button",
        { type: "button", class: each.unread_count ? "row new" : "row", on: { click: open } },
        el("span", { class: "top" }, el("strong", {}, each.property), unread),
        el("span", { class: "soft" }, each.last_message?.body ?? "Nothing is written yet."),
      ),
    );
  });
  const nothing = rows.length === 0 && el("p", { class: "soft" }, "You have not written to anybody yet.");
  show(dialog, many(results.length, "conversation"), nothing, el("ul", { class: "rows" }, ...rows));
}

/** Show a conversation; what is written in it appears at once. */
export async function openTalk(conversationId: number, title: string): Promise<void> {
  const me = whoAmI();
  if (!me) return;
  const params = { path: { conversation_id: conversationId } };
  const { results } = await karibu.get("/api/conversations/{conversation_id}/messages/", { params });
  const letters = el("div", { class: "letters", role: "log", "aria-label": "Messages", tabindex: "0" });
  const writing = el("p", { class: "writing", role: "status" });
  const { place: refused, tell } = refusals();
  const field = el("input", { name: "body", maxlength: 5000, autocomplete: "off", placeholder: "Write something", "aria-label": "Message", required: "" });
  const form = el("form", { class: "write" }, field, el("button", { class: "main" }, "Send"));
  const seen = new Set<number>();
  let quiet: ReturnType<typeof setTimeout> | undefined;

  const take = (message: Message): void => {
    if (seen.has(message.id)) return;
    seen.add(message.id);
    letters.append(letter(message, me.profile.id));
    letters.scrollTop = letters.scrollHeight;
    if (message.sender?.id === me.profile.id) return;
    noteWriting(false);
    me.live.say("message.read", { conversation_id: conversationId });
  };
  const noteWriting = (isTyping: boolean): void => {
    clearTimeout(quiet);
    writing.textContent = isTyping ? "writes …" : "";
    if (isTyping) quiet = setTimeout(() => noteWriting(false), WRITING_MS);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = field.value.trim();
    if (!body) return;
    field.value = "";
    tell(null);
    me.live.write(conversationId, body).then(
      ({ data }) => take(data),
      (error: unknown) => {
        field.value ||= body;
        tell(error);
      },
    );
  });
  let saidAt = 0;
  field.addEventListener("input", () => {
    if (Date.now() - saidAt < SAY_AGAIN_MS) return;
    saidAt = Date.now();
    me.live.say("typing", { conversation_id: conversationId, is_typing: true });
  });

  show(dialog, title, letters, writing, refused, form);
  // What arrived while the list was fetched is in both; each is shown once.
  shown = { id: conversationId, take, writing: noteWriting };
  for (const message of [...results].reverse()) take(message);
  field.focus();
}

function letter(message: Message, myId: number): HTMLElement {
  if (message.kind === "system") return el("p", { class: "letter system" }, message.body);
  const isMine = message.sender?.id === myId;
  const files = message.attachments.map((each) => each.name).join(", ");
  const text = message.hidden ? "Taken out of sight by the moderators." : [message.body, files].filter(Boolean).join("\n");
  const head = `${isMine ? "You" : (message.sender?.first_name ?? "")} · ${timeWords(message.created_at)}`;
  return el("p", { class: isMine ? "letter mine" : "letter" }, text, el("small", {}, head));
}
