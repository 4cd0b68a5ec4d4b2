/*
 * bullmq.js - BullMQ's part
 *
 *   node bullmq.js --connect SOCKET --one SECONDS | --many SECONDS --in-flight K
 *   node bullmq.js --work SOCKET --concurrency N
 *
 * SOCKET is that of a Redis.  A result comes as an event of the queue.  Jobs are removed when they
 * are complete, as BullMQ's documentation says for much traffic.
 */
"use strict";
const { createRequire } = require("module");
const path = require("path");
// The package is not installed beside this file: it stands in the build directory.
const load = createRequire(path.join(process.env.PEERS_MODULES || __dirname, "x.js"));
const { Queue, QueueEvents, Worker } = load("bullmq");
const { Redis } = load("ioredis");

const SAMPLES_MIN = 20;
const PAYLOAD = "0123456789abcdef";

function options(argv) {
        const o = { "in-flight": "1", concurrency: "1" };
        for (let i = 0; i + 1 < argv.length; i += 2) o[argv[i].slice(2)] = argv[i + 1];
        return o;
}

const now = () => Number(process.hrtime.bigint()) / 1e9;

function work(o) {
        const connection = { path: o.work, maxRetriesPerRequest: null };
        new Worker("work", async (job) => job.data, { connection, concurrency: Number(o.concurrency) });
}

class Client {
        constructor(socket) {
                this.connection = { path: socket, maxRetriesPerRequest: null };
                this.queue = new Queue("work", {
                        connection: this.connection,
                        defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
                });
        }

        /* From the last event that there is: by itself it reads those that come once it listens, and the
         * first job may be faster. */
        async listen() {
                const redis = new Redis({ path: this.connection.path });
                const [last] = await redis.xrevrange("bull:work:events", "+", "-", "COUNT", 1);
                redis.disconnect();
                this.events = new QueueEvents("work", {
                        connection: this.connection,
                        lastEventId: last ? last[0] : "0-0",
                });
                this.n = 0; // complete jobs
                this.wake = null;
                this.events.on("completed", ({ returnvalue }) => {
                        if (returnvalue !== PAYLOAD) this.die("not what was sent: " + returnvalue);
                        this.n++;
                        if (this.wake) this.wake();
                });
                this.events.on("failed", ({ failedReason }) => this.die(failedReason));
                await this.events.waitUntilReady();
        }

        die(why) {
                process.stderr.write(`BullMQ: ${why}\n`);
                process.exit(1);
        }

        /* Until so many more than n are complete. */
        async until(n) {
                while (this.n < n) await new Promise((done) => (this.wake = done));
        }

        async one() {
                const before = this.n;
                await this.queue.add("echo", PAYLOAD);
                await this.until(before + 1);
        }

        async many(n, inFlight) {
                const before = this.n;
                const chunk = Math.max(inFlight >> 2, 1);
                for (let sent = 0; sent < n; ) {
                        const k = Math.min(chunk, n - sent);
                        await this.until(before + sent + k - inFlight);
                        await this.queue.addBulk(
                                Array.from({ length: k }, () => ({ name: "echo", data: PAYLOAD })),
                        );
                        sent += k;
                }
                await this.until(before + n);
        }
}

const round = (x) => Math.round(x * 100) / 100;

async function runOne(client, seconds) {
        const times = [];
        const begin = now();
        for (let start = begin, end; ; start = end) {
                await client.one();
                end = now();
                if (start > begin && start - begin >= seconds / 10) times.push((end - start) * 1e6);
                if (end - begin > seconds && times.length >= SAMPLES_MIN) break;
        }
        times.sort((a, b) => a - b);
        const n = times.length;
        return {
                in_flight: 1,
                samples: n,
                p50_us: round(times[n >> 1]),
                mean_us: round(times.reduce((a, b) => a + b) / n),
                p99_us: round(times[Math.floor((n * 99) / 100)]),
        };
}

async function runMany(client, seconds, inFlight) {
        const timed = async (n) => {
                const start = now();
                await client.many(n, inFlight);
                return now() - start;
        };
        let n = inFlight;
        let took;
        while ((took = await timed(n)) < seconds / 10) n *= 3;
        let rate = n / took;
        let total = 0;
        let spent = 0;
        while (spent < (seconds * 2) / 3) {
                n = Math.max(Math.floor(rate * (seconds - spent)), inFlight);
                took = await timed(n);
                rate = n / took;
                total += n;
                spent += took;
        }
        return { in_flight: inFlight, tasks: total, seconds: round(spent), tasks_per_s: Math.round(total / spent) };
}

async function main() {
        const o = options(process.argv.slice(2));
        if (o.work) return work(o);
        const client = new Client(o.connect);
        await client.listen();
        const found = o.one
                ? await runOne(client, Number(o.one))
                : await runMany(client, Number(o.many), Number(o["in-flight"]));
        console.log(JSON.stringify({ system: "BullMQ", ...found }));
        process.exit(0);
}

main().catch((e) => {
        process.stderr.write(`BullMQ: ${e.message}\n`);
        process.exit(1);
});
