/** A word that nobody else makes up. `crypto.randomUUID` is missing on pages that come over plain HTTP. */
export function madeUp(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
