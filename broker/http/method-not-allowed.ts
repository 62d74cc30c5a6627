import { StintError } from "../../domain/errors.ts";

/** The path is there, the method is not; `allow` lists what is. */
export class MethodNotAllowed extends StintError {
  readonly allow: string;
  constructor(allow: string) {
    super("method_not_allowed", `this path takes ${allow}`);
    this.allow = allow;
  }
}
