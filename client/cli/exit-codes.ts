import { UnsuitableError } from "../deliver/unsuitable.ts";
import { DeniedError, GoneError, IdentityError, InvalidRequestError, LockedError, UnreachableError } from "../errors.ts";

/** What the command ends with; scripts rely on it. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  denied: 3,
  identity: 4,
  locked: 5,
  unreachable: 6,
  gone: 7,
  pending: 8,
  check: 9,
  partial: 10,
  broker: 125,
  notExecutable: 126,
  notFound: 127,
} as const;

/** What was typed cannot be done; `next` says what would work. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly next: string | undefined;
  constructor(message: string, next?: string) {
    super(message);
    this.next = next;
  }
}

/** Somebody said no at a prompt. */
export class CancelledError extends Error {
  override readonly name = "CancelledError";
}

/** The exit code an error stands for. */
export function exitCodeOf(error: unknown): number {
  if (
    error instanceof UsageError ||
    error instanceof CancelledError ||
    error instanceof UnsuitableError ||
    error instanceof InvalidRequestError
  )
    return EXIT.usage;
  if (error instanceof DeniedError) return EXIT.denied;
  if (error instanceof IdentityError) return EXIT.identity;
  if (error instanceof LockedError) return EXIT.locked;
  if (error instanceof UnreachableError) return EXIT.unreachable;
  if (error instanceof GoneError) return EXIT.gone;
  return EXIT.failure;
}
