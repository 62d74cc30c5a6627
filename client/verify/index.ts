export { createVerifier, Verifier, type VerifierState } from "./verifier.ts";
export type { Verified } from "./known-tokens.ts";
export type { VerifierOptions } from "./options.ts";
export { VerifyError, type VerifyErrorCode, type VerifyErrorDetail, type VerifyReason } from "./errors.ts";
export type { AccessTokenClaims } from "./claims.ts";
export type { Confirmation, Proof, ProofAnswer } from "./confirmation.ts";
export { dpop, type DpopOptions } from "./dpop.ts";
export { StatusLists, type StatusListsOptions } from "./status-list.ts";
export { clientCertificate } from "./client-certificate.ts";
export { presentationOf, readAuthorization, refuseQueryToken, type Presentation } from "./presentation.ts";
export { protect, answerSettings, type AnswerOptions } from "./protect.ts";
export { answerTo, type Answer, type AnswerSettings } from "./challenge.ts";
export { checkNeeds, type Needs } from "./needs.ts";
export { resourceMetadata, type ResourceMetadata, type ResourceMetadataOptions } from "./metadata.ts";
export type { VerifierClock } from "./clock.ts";
export type { VerifierLog, VerifierLogEntry } from "./log.ts";
export {
  createTestIssuer,
  type TestIssuer,
  type TestIssuerOptions,
  type TestTokenOptions,
  type ReportedUse,
} from "./testing/test-issuer.ts";
