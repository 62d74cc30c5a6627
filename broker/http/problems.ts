import { ERROR_CODES, type ErrorCode, StintError } from "../../domain/errors.ts";
import { z } from "zod";
import { ERROR_ANSWERS, type ErrorAnswer } from "./error-answers.ts";
import { route } from "./route.ts";

/** What an error's page says. */
export const ProblemPageView = z
  .strictObject({
    code: z.enum(ERROR_CODES),
    title: z.string(),
    status: z.int(),
    oauth_error: z.string(),
    retryable: z.boolean(),
    meaning: z.string(),
    remedy: z.string(),
  })
  .meta({ id: "ProblemPage" });

const isCode = (text: string | undefined): text is ErrorCode => ERROR_CODES.some((code) => code === text);
const HOUR = ["Cache-Control", "public, max-age=3600", "Vary", "Accept"];

/** GET /problems/{code}: every problem's `type` and `error_uri` leads here. HTML for people, JSON for programs. */
export const problemRoute = route({
  method: "GET",
  path: "/problems/{code}",
  access: "open",
  summary: "What an error code means, and what to do about it.",
  answers: { 200: ProblemPageView },
  handle({ params, headers }) {
    const { code } = params;
    if (!isCode(code)) throw new StintError("not_found", "there is no such code");
    const answer = ERROR_ANSWERS[code];
    if (headers.accept?.includes("text/html") === true)
      return { status: 200, body: page(code, answer), type: "text/html; charset=utf-8", headers: HOUR };
    const { title, status, retryable, meaning, remedy } = answer;
    return { status: 200, body: { code, title, status, oauth_error: answer.oauth, retryable, meaning, remedy }, headers: HOUR };
  },
});

/** Constant text only: nothing of the request is in it. */
const page = (code: ErrorCode, { title, status, oauth, retryable, meaning, remedy }: ErrorAnswer): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${code}: ${title}</title>
<h1>${title}</h1>
<p><code>${code}</code>, status ${status}; at /oauth2 <code>${oauth}</code>. ${retryable ? "The same request may succeed later." : "The same request will be refused again."}</p>
<h2>What it means</h2>
<p>${meaning}</p>
<h2>What to do</h2>
<p>${remedy}</p>
</html>
`;
