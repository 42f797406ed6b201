// The example front end: search, book, pay, talk and hear of it, all through the typed client.

import { prepareAccount } from "./account.js";
import { prepareNotices } from "./notices.js";
import { prepareSearch } from "./places.js";
import { prepareTalks } from "./talk.js";
import { arrive, karibu } from "./world.js";

prepareAccount();
prepareTalks();
prepareNotices();
await Promise.all([prepareSearch(), karibu.session.token ? arrive() : null]);
