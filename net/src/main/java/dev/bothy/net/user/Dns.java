package dev.bothy.net.user;

import java.util.Arrays;

/** The name server of the guest's network: passes questions on. Guarded by the stack's lock. */
final class Dns {
  static final int HEADER = 12;

  /** Questions that wait for an answer at a time; more are dropped, and asked again. */
  static final int QUESTIONS = 64;

  private static final long PATIENCE = 20_000_000_000L;
  private static final int REFUSED = 5;

  private final Stack stack;
  private final Outside outside;
  private int waiting;

  Dns(Stack stack, Outside outside) {
    this.stack = stack;
    this.outside = outside;
  }

  private final class Question extends Timeouts.Timeout {
    boolean done;

    void done() {
      if (!done) {
        done = true;
        waiting--;
        stack.timeouts().cancel(this);
      }
    }

    @Override
    void expired(long now) {
      done();
    }
  }

  /** The guest asks, from {@code port}, the server at {@code server}. */
  void asked(IpAddress guest, int port, IpAddress server, byte[] query) {
    boolean isQuery = query.length >= HEADER && query[2] >= 0;
    if (!isQuery) {
      return;
    }
    if (stack.restricted()) {
      stack.udp().send(server, 53, guest, port, withCode(query, REFUSED));
      return;
    }
    if (waiting >= QUESTIONS) {
      return;
    }
    Question question = new Question();
    waiting++;
    stack.timeouts().arm(question, stack.now() + PATIENCE);
    outside.resolve(
        query,
        answer -> {
          if (!question.done) {
            question.done();
            stack.udp().send(server, 53, guest, port, answer);
          }
        });
  }

  /** An answer that has the question, if it was a plain one, and a response code, nothing else. */
  static byte[] withCode(byte[] query, int code) {
    int end = questionEnd(query);
    byte[] answer = Arrays.copyOf(query, end);
    Wire.put16(answer, 2, 0x8080 | Wire.get16(query, 2) & 0x7900 | code);
    Wire.put16(answer, 4, end > HEADER ? 1 : 0);
    Wire.put32(answer, 6, 0);
    Wire.put16(answer, 10, 0);
    return answer;
  }

  /** Where the only question of a query ends; the header's end if there is not one well-formed. */
  static int questionEnd(byte[] query) {
    if (Wire.get16(query, 4) != 1) {
      return HEADER;
    }
    int at = HEADER;
    while (at < query.length && query[at] > 0) {
      at += 1 + query[at];
    }
    return at + 5 <= query.length && query[at] == 0 ? at + 5 : HEADER;
  }
}
