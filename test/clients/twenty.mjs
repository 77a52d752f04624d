// What a user writes first. Only serverUrl says that it is Sigpost.
import { Svix } from "svix";

const svix = new Svix(process.env.SIGPOST_TOKEN, { serverUrl: process.env.SIGPOST_URL });
const app = await svix.application.create({ name: "Twenty lines" });
const endpoint = await svix.endpoint.create(app.id, { url: process.env.HOOK_URL });
const message = await svix.message.create(app.id, { eventType: "user.signup", payload: { email: "a@example.com" } });

let attempts = [];
while (attempts.length === 0) {
  attempts = (await svix.messageAttempt.listByMsg(app.id, message.id)).data;
}
await svix.messageAttempt.resend(app.id, message.id, endpoint.id);
console.log(JSON.stringify({ message: message.id, attempts }));
