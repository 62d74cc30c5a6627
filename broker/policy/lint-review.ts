import type { Report } from "./lint.ts";

const DAY_MS = 86_400_000;
const NOTICE_DAYS = 30;

/** Who answers for a document, and when somebody looks at it again. A day of review lasts to its end, in UTC. */
export function lintReview(
  document: { readonly owner?: string | undefined; readonly review_by?: string | undefined },
  what: string,
  sensitive: boolean,
  now: number,
  report: Report,
): void {
  if (document.owner === undefined) report("missing-owner", [], `the ${what} has no owner`, "add owner: the team that answers for it");
  if (document.review_by === undefined) {
    if (sensitive)
      report(
        "missing-review",
        [],
        `the ${what} is of high sensitivity and has no review_by`,
        "add review_by: the day by which somebody looks at it again",
      );
    return;
  }
  const left = Math.floor((Date.parse(`${document.review_by}T23:59:59.999Z`) - now) / DAY_MS);
  if (left < 0) report("review-overdue", ["review_by"], `was to be reviewed by ${document.review_by}`, "look at it, then move the day");
  else if (left < NOTICE_DAYS)
    report(
      "review-soon",
      ["review_by"],
      `is to be reviewed by ${document.review_by}, in ${left === 1 ? "1 day" : `${left} days`}`,
      "look at it, then move the day",
      "warning",
    );
}
