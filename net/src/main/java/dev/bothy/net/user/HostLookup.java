package dev.bothy.net.user;

import java.io.ByteArrayOutputStream;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;

/**
 * Answers questions for addresses (RFC 1035; RFC 3596) by the host's own look-up, where there is no
 * name server to ask.
 */
final class HostLookup {
  private static final int A = 1;
  private static final int AAAA = 28;
  private static final int INTERNET = 1;
  private static final int NO_ERROR = 0;
  private static final int FORMAT_ERROR = 1;
  private static final int SERVER_FAILURE = 2;
  private static final int NOT_IMPLEMENTED = 4;
  private static final int TIME_TO_LIVE = 30;
  private static final int MOST_ADDRESSES = 16;

  private HostLookup() {}

  /** The message that answers {@code query}. */
  static byte[] answer(byte[] query) {
    int end = Dns.questionEnd(query);
    if (end == Dns.HEADER) {
      return Dns.withCode(query, FORMAT_ERROR);
    }
    int type = Wire.get16(query, end - 4);
    boolean address = Wire.get16(query, end - 2) == INTERNET && (type == A || type == AAAA);
    if (!address) {
      return Dns.withCode(query, NOT_IMPLEMENTED);
    }
    String name = name(query, end - 5);
    if (name == null) {
      return Dns.withCode(query, FORMAT_ERROR);
    }
    try {
      return addresses(query, InetAddress.getAllByName(name), type);
    } catch (UnknownHostException e) {
      // Whether the name does not exist or nobody knows is not told.
      return Dns.withCode(query, SERVER_FAILURE);
    }
  }

  /** The name of the question, or null if it is one that hosts do not have. */
  private static String name(byte[] query, int end) {
    StringBuilder name = new StringBuilder();
    for (int at = Dns.HEADER; at < end; at += 1 + query[at]) {
      String label = new String(query, at + 1, query[at], StandardCharsets.ISO_8859_1);
      if (!label.matches("[A-Za-z0-9_-]{1,63}")) {
        return null;
      }
      name.append(name.isEmpty() ? "" : ".").append(label);
    }
    // Digits alone would not be looked up but taken for an address.
    return name.isEmpty() || name.length() > 253 || name.toString().matches("[0-9.]+")
        ? null
        : name.toString();
  }

  private static byte[] addresses(byte[] query, InetAddress[] found, int type) {
    ByteArrayOutputStream records = new ByteArrayOutputStream();
    int count = 0;
    for (InetAddress address : found) {
      if (address instanceof Inet4Address == (type == A) && count < MOST_ADDRESSES) {
        byte[] bytes = address.getAddress();
        byte[] head = new byte[12];
        // The name is that of the question (RFC 1035, 4.1.4).
        Wire.put16(head, 0, 0xc000 | Dns.HEADER);
        Wire.put16(head, 2, type);
        Wire.put16(head, 4, INTERNET);
        Wire.put32(head, 6, TIME_TO_LIVE);
        Wire.put16(head, 10, bytes.length);
        records.writeBytes(head);
        records.writeBytes(bytes);
        count++;
      }
    }
    byte[] start = Dns.withCode(query, NO_ERROR);
    Wire.put16(start, 6, count);
    ByteArrayOutputStream message = new ByteArrayOutputStream();
    message.writeBytes(start);
    message.writeBytes(records.toByteArray());
    return message.toByteArray();
  }
}
