/** A connected instance counts as heard of this often, whatever it says itself. */
export const FED_EVERY_MS = 5_000;
