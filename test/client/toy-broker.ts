import { recordingServer, type Received, type RecordingServer, type Reply } from "./recording-server.ts";

export const TASK = "task_01jd0000000000000000000001";
export const LEASE = "lease_01jd0000000000000000000002";
export const EVIDENCE = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0ZXN0In0.c2ln";
export const SECRET = "credential-of-the-grant-0123456789abcdef";
export const LATER = "2099-01-01T00:00:00.000Z";

export const receipt = (endedBy = "exit"): object => ({
  task: TASK,
  ended_by: endedBy,
  settled: true,
  dead_by: "2020-01-01T00:00:00.000Z",
  more: 0,
  leases: [
    {
      lease_id: LEASE,
      issuer: "jwt",
      outcome: "revoked",
      revocation: "verifier_checked",
      dead_by: "2020-01-01T00:00:00.000Z",
      took_ms: 41,
    },
  ],
});

export const credential = (token = SECRET): object => ({
  lease_id: LEASE,
  task_id: TASK,
  grant: "deploy-prod",
  issuer: "jwt",
  credential: { type: "jwt", token },
  expires_at: LATER,
  limited_by: "grant",
  revocation: "verifier_checked",
  dead_by: LATER,
});

const opened = { task: TASK, task_token: "task.token.signed", expires_at: LATER };

/** Answers the happy path as the contract has it; `instead` may answer first. What the broker itself does is tested against the broker. */
export async function toyBroker(
  instead: (request: Received, count: number) => Reply | undefined = () => undefined,
): Promise<RecordingServer> {
  return await recordingServer((request, count) => instead(request, count) ?? usual(request));
}

function usual({ method, path }: Received): Reply | undefined {
  switch (`${method} ${path.replace(/\?.*/, "")}`) {
    case "POST /v1/tasks":
      return { status: 201, body: opened };
    case `POST /v1/tasks/${TASK}/credentials`:
      return { status: 201, body: credential() };
    case `POST /v1/tasks/${TASK}/heartbeat`:
      return { body: { id: TASK } };
    case `POST /v1/tasks/${TASK}/complete`:
      return { body: receipt() };
    case `POST /v1/leases/${LEASE}/release`:
      return { body: {} };
    case "POST /oauth2/token":
      return {
        body: {
          access_token: SECRET,
          issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
          token_type: "Bearer",
          expires_in: 600,
          scope: "deploy:write",
          lease_id: LEASE,
          task_id: TASK,
          task_token: "task.token.signed",
          expires_at: LATER,
          limited_by: "grant",
          dead_by: LATER,
          revocation: "verifier_checked",
        },
      };
    default:
      return undefined;
  }
}
