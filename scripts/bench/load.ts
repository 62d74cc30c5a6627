/** The load generator as a process of its own, so that it can have a core of its own. Jobs come and results go over IPC. */
import { drive, type Job } from "./keep-alive.ts";

process.on("message", (job: Job) => {
  void drive(job).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.once("disconnect", () => process.exit(0));
process.send?.({ ready: true });
