package dev.bothy.cli;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;

/** JSON on standard output: one object a command. */
final class DiskJson {
  /** Writes the fields. */
  interface Fields {
    void write(JsonGenerator out) throws IOException;
  }

  private DiskJson() {}

  static void write(Fields fields) throws IOException {
    JsonGenerator out = new JsonFactory().createGenerator(System.out);
    out.configure(JsonGenerator.Feature.AUTO_CLOSE_TARGET, false);
    out.useDefaultPrettyPrinter();
    out.writeStartObject();
    fields.write(out);
    out.writeEndObject();
    out.writeRaw('\n');
    out.close();
  }
}
