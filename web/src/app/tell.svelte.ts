// What the page says to people: short notes, and questions before what cannot
// be taken back.
import { told } from "../api/client";

export interface Note {
  id: number;
  tone: "ok" | "bad" | "info";
  text: string;
  link?: { href: string; text: string };
}
export interface Question {
  title: string;
  text: string;
  yes: string;
  danger?: boolean;
  /** What must be typed, for what is gone for ever. */
  type?: string;
}

class Tell {
  notes = $state<Note[]>([]);
  question = $state<(Question & { answer: (yes: boolean) => void }) | undefined>();
  private last = 0;

  note(text: string, link?: Note["link"], tone: Note["tone"] = "ok") {
    const id = ++this.last;
    this.notes.push({ id, tone, text, ...(link ? { link } : {}) });
    setTimeout(() => this.drop(id), tone === "bad" ? 9000 : 5000);
  }
  fault(e: unknown) {
    this.note(told(e), undefined, "bad");
  }
  drop(id: number) {
    this.notes = this.notes.filter((n) => n.id !== id);
  }
  ask(q: Question): Promise<boolean> {
    return new Promise((done) => {
      this.question = {
        ...q,
        answer: (yes) => {
          this.question = undefined;
          done(yes);
        },
      };
    });
  }
  /** Does something and says what came of it. */
  async attempt(what: () => Promise<unknown>, said?: string): Promise<boolean> {
    try {
      await what();
      if (said) this.note(said);
      return true;
    } catch (e) {
      this.fault(e);
      return false;
    }
  }
}

export const tell = new Tell();
