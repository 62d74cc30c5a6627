/** The credential is there, but cannot take the shape that was asked for; `next` says what would work. Holds no secret. */
export class UnsuitableError extends Error {
  override readonly name = "UnsuitableError";
  readonly next: string | undefined;
  constructor(message: string, next?: string) {
    super(message);
    this.next = next;
  }
}
