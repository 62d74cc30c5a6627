import { StintError } from "../../domain/errors.ts";
import { isId } from "../../domain/ids.ts";
import type { DenialRecord } from "../../store/api.ts";
import type { Parts } from "../parts.ts";
import { messageOf } from "./refusals.ts";

export interface DenialService {
  /** Throws `not_found`. */
  get(id: string): Promise<DenialRecord>;
}

/** The refusal of this id. Throws `not_found`; the words for a code that a script found are added here. */
export async function denialOf(parts: Pick<Parts, "store">, id: string): Promise<DenialRecord> {
  const denial = isId("den", id) ? await parts.store.denials.get(id) : undefined;
  if (denial === undefined) throw new StintError("not_found", "there is no such denial; they are kept for a week");
  return denial.view.message === "" ? { ...denial, view: { ...denial.view, message: messageOf(denial.view.code) } } : denial;
}

export const createDenials = (parts: Pick<Parts, "store">): DenialService => ({ get: (id) => denialOf(parts, id) });
