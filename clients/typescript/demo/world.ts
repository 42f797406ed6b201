import { type Answer, inStorage, isProblem, Karibu, type Live, type Schemas } from "../src/index.js";

/** The server of this page, as whoever uses it. */
export const karibu = new Karibu({ url: location.origin, tokens: inStorage(localStorage, "karibu-demo") });

export type Place = Schemas["SearchResult"];
export type Profile = Answer<"/api/profile/", "get">;

/** Who is signed in, and their live events. */
export interface Me {
  profile: Profile;
  live: Live;
}

let me: Me | null = null;
const watchers: ((me: Me | null) => void)[] = [];

/** Who is signed in; null for nobody. */
export function whoAmI(): Me | null {
  return me;
}

/** Be told whenever somebody else uses the page. */
export function onChange(tell: (me: Me | null) => void): void {
  watchers.push(tell);
}

/** Learn who the kept tokens belong to, and connect. Throws what the network throws. */
export async function arrive(): Promise<void> {
  let profile: Profile;
  try {
    profile = await karibu.get("/api/profile/");
  } catch (error) {
    if (!isProblem(error) || error.status !== 401) throw error;
    // What was kept from another time is not good any more.
    karibu.session.end();
    return;
  }
  const live = karibu.live();
  become({ profile, live });
  live.open();
}

karibu.session.onEnd(() => become(null));

function become(next: Me | null): void {
  me?.live.close();
  me = next;
  for (const tell of watchers) tell(me);
}
