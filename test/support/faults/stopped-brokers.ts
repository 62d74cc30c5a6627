import type { ChildProcess } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { die, killStorm, type StormHands, type StormReport } from "../kill-storm.ts";
import { Promises, type Fault, type FaultReport } from "./fault.ts";

/** A broker that is stopped comes back in the middle of whatever it was doing, with a clock that has gone on. */
const STOP_MS = [200, 4_000] as const;
const JOBS = 8;

/** Brokers with their sweepers on one store; each second one of them is stopped for a while, or killed and replaced. */
export const stoppedBrokers: Fault = {
  id: "F19",
  what: "four brokers and sweepers, each second one is stopped (SIGSTOP) or killed",
  async run(form, say) {
    const [seconds, brokers] = form === "long" ? [60, 4] : [4, 2];
    const seen = { stops: 0, kills: 0 };
    const found = await killStorm(0, { brokers, say, weather: (hands) => befall(hands, { seconds, brokers, seen, say }) });
    return { figures: { ...found, ...seen }, broken: whatIsLeft(found) };
  },
};

interface Weather {
  readonly seconds: number;
  readonly brokers: number;
  readonly seen: { stops: number; kills: number };
  readonly say: (line: string) => void;
}

async function befall({ start, work, issued }: StormHands, { seconds, brokers, seen, say }: Weather): Promise<void> {
  const alive = await Promise.all(Array.from({ length: brokers }, (_, place) => start(place)));
  const over = new AbortController();
  const jobs = Array.from({ length: JOBS }, () => work(over.signal));
  for (let second = 1; second <= seconds; second += 1) {
    await pause(1_000);
    const place = Math.floor(Math.random() * brokers);
    const broker = alive[place];
    if (broker === undefined) continue;
    if (Math.random() < 0.3) {
      seen.kills += 1;
      await die(broker);
      alive[place] = await start(place);
    } else {
      seen.stops += 1;
      stopFor(broker, STOP_MS[0] + Math.random() * (STOP_MS[1] - STOP_MS[0]));
    }
    if (second % 10 === 0) say(`${second} s: ${seen.stops} stops, ${seen.kills} kills, ${issued()} issued`);
  }
  over.abort();
  for (const broker of alive) broker.kill("SIGCONT");
  await Promise.all(jobs);
  await Promise.all(alive.map(die));
}

function stopFor(broker: ChildProcess, ms: number): void {
  broker.kill("SIGSTOP");
  setTimeout(() => broker.kill("SIGCONT"), ms).unref();
}

/** The kill storm, as a run among the others; `npm run storm` takes any number. */
export const killedBroker: Fault = {
  id: "F1",
  what: "a broker is killed at random instants, again and again",
  async run(form, say) {
    const found = await killStorm(form === "long" ? 200 : 3, { say });
    return { figures: { ...found }, broken: whatIsLeft(found) };
  },
};

function whatIsLeft(found: StormReport): FaultReport["broken"] {
  const promises = new Promises();
  promises.expect(found.issued > 0, "nothing was issued");
  promises.expect(found.orphans === 0, `${found.orphans} credentials were left at the target`);
  promises.expect(found.lost === 0, `${found.lost} leases of credentials are unknown`);
  promises.expect(found.revived === 0, `${found.revived} tokens were believed after their end was acknowledged`);
  promises.expect(found.unaccounted === 0, `${found.unaccounted} leases are in no state, or in two`);
  promises.expect(found.overdue === 0, `${found.overdue} leases were honoured after their time`);
  return promises.broken;
}
