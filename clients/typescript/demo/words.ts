/** An amount of money as people here write it. */
export function money(amount: number, currency: string): string {
  const isWhole = Number.isInteger(amount);
  const style = { style: "currency", currency, ...(isWhole ? { maximumFractionDigits: 0 } : {}) } as const;
  return new Intl.NumberFormat(undefined, style).format(amount);
}

/** A date (`2027-01-31`) for reading: a day of the calendar, whatever the time zone. */
export function dayWords(date: string): string {
  return new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }).format(
    new Date(`${date}T00:00Z`),
  );
}

/** An instant for reading, on the reader's clock. */
export function timeWords(instant: string): string {
  return new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(
    new Date(instant),
  );
}

/** A word of the API (`entire_place`) for reading. */
export function plain(word: string): string {
  return word.replaceAll("_", " ");
}

/** A number of things. */
export function many(count: number, one: string, more = `${one}s`): string {
  return `${count} ${count === 1 ? one : more}`;
}

/** The date so many days from today, on the reader's calendar. */
export function dayAhead(days: number): string {
  const now = new Date();
  return new Date(Date.UTC(now.getFullYear(), now.getMonth(), now.getDate() + days)).toISOString().slice(0, 10);
}

/** A picture's address on this server, under whatever name the page was opened. */
export function here(address: string): string {
  const { pathname, search } = new URL(address, location.href);
  return pathname + search;
}
