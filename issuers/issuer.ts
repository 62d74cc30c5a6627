/** The one interface of every issuer, in the domain's words; folders beside this file implement it. */
export { PermanentFailure, RetryableFailure, type IssueOrder, type Issued, type Issuer, type RevokeOrder } from "../domain/credential.ts";
