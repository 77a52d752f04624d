// Who is here. A session is a cookie that scripts do not see; a token that was
// pasted lives in this tab; a portal's key lives in memory alone.
import { Fault, get, onRefused, send, useToken, type Schemas } from "../api/client";
import { live } from "../api/stream.svelte";

export type Who = Schemas["SessionOut"];

const slot = "sigpost.token";

class Session {
  state = $state<"unknown" | "out" | "in">("unknown");
  who = $state.raw<Who | undefined>();
  /** Why one is out, when it was not one's own choice. */
  notice = $state("");
  /** What a server that cannot be asked for it is not asked for again. */
  portal = $state(false);

  get appId() {
    return this.who?.portal?.appId ?? "";
  }
  get scope() {
    return this.who?.user?.role ?? this.who?.scopes[0] ?? "";
  }
  /** May change things. */
  get writes() {
    return this.may("ManageEndpoint");
  }
  /** What a portal's key may do; who is no portal may all of it, or nothing. */
  may(what: "ManageEndpoint" | "CreateAttempts" | "ViewEndpointSecret" | "ManageEndpointSecret"): boolean {
    if (!this.portal) return this.scope === "admin" || this.scope === "developer";
    const p = this.who?.portal;
    return p !== undefined && p !== null && !p.readOnly && (p.capabilities === null || p.capabilities.includes(what));
  }
  get admin() {
    return this.scope === "admin";
  }

  constructor() {
    onRefused(() => {
      if (this.state !== "in") return;
      this.leave("Your session has ended. Sign in again.");
    });
  }

  /** Finds out who is here when the page is opened. */
  async begin() {
    const token = this.portal ? "" : (sessionStorage.getItem(slot) ?? "");
    useToken(token);
    try {
      await this.ask();
    } catch (e) {
      if (token) sessionStorage.removeItem(slot);
      useToken("");
      this.state = "out";
      if (e instanceof Fault && e.status === 0) this.notice = e.message;
    }
  }

  async ask() {
    const who = await get<Who>("/api/v1/auth/session");
    this.who = who;
    this.state = "in";
    this.notice = "";
    live.app = who.portal?.appId ?? "";
  }

  async useToken(token: string) {
    useToken(token);
    try {
      await this.ask();
      if (!this.portal) sessionStorage.setItem(slot, token);
    } catch (e) {
      useToken("");
      throw e;
    }
  }

  async usePassword(name: string, password: string) {
    useToken("");
    await send("POST", "/api/v1/auth/session", { name, password });
    await this.ask();
  }

  async useLink(token: string) {
    useToken(""); // with one there are no cookies
    try {
      await send("POST", "/api/v1/auth/session/link", { token });
    } catch (e) {
      useToken(sessionStorage.getItem(slot) ?? ""); // who is signed in stays so
      throw e;
    }
    sessionStorage.removeItem(slot);
    live.close();
    await this.ask();
  }

  async signOut() {
    try {
      await send("DELETE", "/api/v1/auth/session");
    } catch {
      // a token has no session to end
    }
    this.leave("");
  }

  private leave(notice: string) {
    live.close();
    sessionStorage.removeItem(slot);
    useToken("");
    this.who = undefined;
    this.state = "out";
    this.notice = notice;
  }
}

export const session = new Session();
