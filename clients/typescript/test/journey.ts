// A guest and a host at a live server, through the client alone: node build/test/journey.js URL

import assert from "node:assert/strict";

import {
  inMemory,
  isProblem,
  Karibu,
  type KaribuOptions,
  type Live,
  type Problem,
  type ServerFrames,
  type Socket,
  type TokenStore,
} from "../src/index.js";
import { Order } from "../src/order.js";

const url = process.argv[2] ?? "";
const DAY_MS = 86_400_000;
const PATIENCE_MS = 20_000;

/** A date so many days from now. */
const day = (ahead: number) => new Date(Date.now() + ahead * DAY_MS).toISOString().slice(0, 10);

/** The problem that a call is refused with. */
async function refusal(call: Promise<unknown>): Promise<Problem> {
  const error = await call.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(isProblem(error), String(error));
  return error;
}

/** Wait until something is so. */
async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!isSo()) {
    assert.ok(Date.now() < deadline, `waited in vain: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** A network that notes what is sent, and loses the answer of the next call to `losing`. */
class Network {
  readonly sent: { call: string; key: string | null }[] = [];
  losing = "";

  readonly fetch = async (request: Request): Promise<Response> => {
    const call = `${request.method} ${new URL(request.url).pathname}`;
    this.sent.push({ call, key: request.headers.get("Idempotency-Key") });
    const response = await fetch(request);
    if (call !== this.losing) return response;
    this.losing = "";
    throw new TypeError("The connection was lost.");
  };

  count(call: string): number {
    return this.sent.filter((each) => each.call === call).length;
  }
}

/** The frames of a type that were heard. */
function heard<N extends keyof ServerFrames>(live: Live, type: N): ServerFrames[N][] {
  const frames: ServerFrames[N][] = [];
  live.on(type, (frame) => frames.push(frame));
  return frames;
}

async function someone(role: "guest" | "host", options: Partial<KaribuOptions> = {}): Promise<Karibu> {
  const karibu = new Karibu({ url, language: "en", ...options });
  const username = `${role}_${Math.random().toString(36).slice(2, 10)}`;
  await karibu.register({ username, email: `${username}@example.com`, password: "correct-horse-9", role });
  return karibu;
}

async function listAPlace(host: Karibu, title: string): Promise<number> {
  const { id } = await host.post("/api/properties/", {
    body: {
      title,
      description: "Two rooms and a balcony.",
      price_per_night: 100,
      location: "Lisbon, Portugal",
      availability: true,
    },
  });
  return id;
}

async function refusalsAreTyped(): Promise<void> {
  const nobody = new Karibu({ url, language: "fr" });
  const taken = await refusal(
    nobody.register({ username: "john doe!", email: "john@example.com", password: "correct-horse-9" }),
  );
  assert.equal(taken.status, 422);
  assert.deepEqual(
    taken.errors.map((each) => each.field),
    ["username"],
  );
  assert.equal(nobody.session.token, null);
  const unknown = await refusal(nobody.signIn({ username: "nobody_here", password: "correct-horse-9" }));
  assert.equal(unknown.code, "invalid_credentials");
  assert.ok(unknown.requestId);
  assert.equal((await refusal(nobody.get("/api/bookings/"))).code, "unauthenticated");
}

async function aSessionThatIsOverEnds(): Promise<void> {
  const tokens = inMemory({ token: "made.up.token", refresh: "made up as well" });
  const stranger = new Karibu({ url, tokens });
  let ended = 0;
  stranger.session.onEnd(() => (ended += 1));
  const calls = [1, 2, 3].map(() => refusal(stranger.get("/api/profile/")));
  assert.deepEqual(
    (await Promise.all(calls)).map((each) => each.code),
    ["unauthenticated", "unauthenticated", "unauthenticated"],
  );
  assert.deepEqual([ended, tokens.read()], [1, null]);
}

async function listsAreWalkedToTheirEnd(host: Karibu, ids: number[]): Promise<void> {
  const found: number[] = [];
  const query = { location: "Lisbon", check_in: day(30), check_out: day(32), page_size: 2 };
  for await (const place of host.each("/api/properties/", { params: { query } })) {
    assert.equal(place.total_price, 200);
    found.push(place.id);
  }
  assert.deepEqual(found.sort(), [...ids].sort());
}

async function aTokenIsMadeNewOnce(guest: Karibu, tokens: TokenStore, network: Network): Promise<void> {
  const { token, refresh } = tokens.read() ?? assert.fail();
  // Refused as one that has run out.
  guest.session.begin({ token: `${token}x`, refresh });
  const profiles = await Promise.all([1, 2, 3, 4, 5].map(() => guest.get("/api/profile/")));
  assert.equal(new Set(profiles.map((each) => each.id)).size, 1);
  assert.equal(network.count("POST /api/token/refresh/"), 1);
  assert.equal(network.count("GET /api/profile/"), 10);
  assert.notEqual(tokens.read()?.token, token);
  assert.notEqual(tokens.read()?.refresh, refresh);
}

async function aStayIsBookedOnce(guest: Karibu, network: Network, propertyId: number): Promise<number> {
  const stay = { check_in: day(30), check_out: day(32), guests: 1 };
  const quote = await guest.post("/api/properties/{property_id}/quote/", {
    params: { path: { property_id: propertyId } },
    body: stay,
  });
  assert.equal(quote.total_price, 200);
  network.losing = "POST /api/bookings/";
  const body = { property_id: propertyId, ...stay, quote_token: quote.quote_token };
  const booking = await guest.post("/api/bookings/", { body });
  assert.equal(booking.pending_reason, "payment");
  const tries = network.sent.filter((each) => each.call === "POST /api/bookings/");
  assert.equal(tries.length, 2);
  assert.ok(tries[0]?.key);
  assert.equal(tries[0].key, tries[1]?.key);

  const params = { path: { booking_id: booking.id } };
  const pay = (outcome: "decline" | "succeed") =>
    guest.post("/api/bookings/{booking_id}/pay/", { params, body: { provider: "sandbox", outcome } });
  const declined = await refusal(pay("decline"));
  assert.deepEqual([declined.status, declined.code], [402, "card_declined"]);
  assert.equal((await pay("succeed")).status, "completed");
  assert.equal((await refusal(pay("succeed"))).code, "already_paid");
  const { results } = await guest.get("/api/bookings/");
  assert.deepEqual(
    results.map((each) => [each.id, each.status]),
    [[booking.id, "confirmed"]],
  );
  return booking.conversation_id ?? assert.fail("the booking has a conversation");
}

async function theSocketComesBack(guest: Karibu, host: Karibu, propertyId: number, network: Network): Promise<void> {
  const sockets: WebSocket[] = [];
  const socket = (address: string): Socket => {
    sockets.push(new WebSocket(address));
    return sockets.at(-1) as WebSocket;
  };
  const atHome = host.live({ socket, pause: { first: 400, longest: 1_000 } });
  const away = guest.live();
  const states: [string, number | null][] = [];
  away.onState((state, code) => states.push([state, code]));
  const notices = heard(atHome, "notification");
  const messages = heard(atHome, "message");
  const bookings = heard(atHome, "booking");
  const refused = heard(atHome, "error");
  atHome.open();
  away.open();
  await until("both are connected", () => atHome.state === "open" && away.state === "open");

  const conversation = await aStayIsBookedOnce(guest, network, propertyId);
  await until("the host is told", () => notices.some((each) => each.data.kind === "booking.confirmed"));
  assert.deepEqual([...new Set(bookings.map((each) => each.data.status))], ["pending", "confirmed"]);

  const first = await away.write(conversation, "We come by train.");
  await until("the first message", () => messages.some((each) => each.data.body === "We come by train."));
  sockets[0]?.close();
  await until("the connection is lost", () => atHome.state === "waiting");
  const second = await away.write(conversation, "At eight.");
  assert.equal(second.data.seq, first.data.seq + 1);
  await until("the connection is back", () => atHome.state === "open");
  await until("what was missed", () => messages.some((each) => each.data.body === "At eight."));
  assert.equal(sockets.length, 2);
  const ids = [...notices, ...messages, ...bookings].map((each) => each.id).sort((one, other) => one - other);
  assert.deepEqual(ids, [...new Set(ids)]);
  assert.equal(atHome.lastEventId, ids.at(-1));
  assert.deepEqual(refused, []);

  const nowhere = await refusal(away.write(2 ** 40, "Is anybody there?"));
  assert.equal(nowhere.code, "not_found");
  atHome.close();
  assert.equal(atHome.state, "closed");

  await guest.signOut();
  await until("the end of the session", () => away.state === "ended");
  assert.deepEqual(states.at(-1), ["ended", 4401]);
  await assert.rejects(away.write(conversation, "Too late."), /no connection/);
}

function eventsKeepTheirOrder(): void {
  const told: number[] = [];
  const order = new Order<{ id: number }>(({ id }) => told.push(id), 3);
  assert.equal(order.begin(6, false), 3);
  // 7 is new and came before the server heard where to resume; 5 is not kept any more.
  for (const id of [7, 4, 6, 7, 8]) order.take({ id });
  assert.deepEqual(told, [4, 6, 7, 8]);

  assert.equal(order.begin(8, false), null);
  for (const id of [8, 9]) order.take({ id });
  assert.deepEqual(told, [4, 6, 7, 8, 9]);

  // Nothing between 9 and 20 is kept: what comes a second time had waited for nothing.
  assert.equal(order.begin(20, false), 9);
  for (const id of [21, 22]) order.take({ id });
  assert.equal(order.isWaiting, true);
  for (const id of [21, 22, 23]) order.take({ id });
  assert.deepEqual(told, [4, 6, 7, 8, 9, 21, 22, 23]);

  assert.equal(order.begin(2, true), null);
  order.take({ id: 3 });
  assert.deepEqual(told.at(-1), 3);
}

/** Never called: each of these lines must be refused by the compiler. */
export async function wrong(karibu: Karibu): Promise<void> {
  // @ts-expect-error there is no such path
  await karibu.get("/api/houses/");
  // @ts-expect-error a path's parameters are needed
  await karibu.get("/api/bookings/{booking_id}/");
  // @ts-expect-error a number is asked for
  await karibu.post("/api/bookings/", { body: { property_id: "1", check_in: "", check_out: "" } });
  // @ts-expect-error not every operation answers a list
  karibu.each("/api/profile/");
  // @ts-expect-error there is no such field
  karibu.live().on("booking", (frame) => frame.data.price);
}

eventsKeepTheirOrder();
await refusalsAreTyped();
await aSessionThatIsOverEnds();
const host = await someone("host");
const places = [];
for (const title of ["Flat over the river", "House of the lighthouse", "Room by the park"]) {
  places.push(await listAPlace(host, title));
}
await listsAreWalkedToTheirEnd(host, places);
const network = new Network();
const tokens = inMemory();
const guest = await someone("guest", { fetch: network.fetch, tokens });
await aTokenIsMadeNewOnce(guest, tokens, network);
await theSocketComesBack(guest, host, places[0] ?? assert.fail(), network);
