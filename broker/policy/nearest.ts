/** The known word that was probably meant; undefined when none is close. Ties go to the first. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const wanted = word.slice(0, 64).toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate.toLowerCase(), bestDistance);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** `did you mean "x"?`, else the list of what is known (twelve at most). */
export function suggestion(word: string, known: readonly string[]): string {
  const close = nearest(word, known);
  if (close !== undefined) return `did you mean "${close}"?`;
  const more = known.length > 12 ? ", ..." : "";
  return known.length === 0 ? "nothing may be written here" : `known here: ${known.slice(0, 12).join(", ")}${more}`;
}

/** Edits (with swapped neighbours as one) between two words; `limit` or more is answered as `limit`. */
export function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min((previous[j] ?? limit) + 1, (current[j - 1] ?? limit) + 1, (previous[j - 1] ?? limit) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, (before[j - 2] ?? limit) + 1);
      current.push(best);
    }
    [before, previous] = [previous, current];
  }
  return Math.min(limit, previous[b.length] ?? limit);
}
