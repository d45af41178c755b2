package pqrnn;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * The parser of NAME: text in, intent and slots out. For Android and any other machine with a JVM that has libPREFIX; from Kotlin as it is.
 *
 * <p>One parser serves one call at a time: calls of several threads wait for each other. Several parsers run side by side.
 */
public final class CLASS implements AutoCloseable {
  /** A slot: {@code text.substring(start, end)}. */
  public static final class Slot {
    public final String label;
    public final String text;
    public final int start;
    public final int end;
    /** Probability that label, beginning and end are right; NaN where the parser is not calibrated. */
    public final double score;

    Slot(String label, String text, int start, int end, double score) {
      this.label = label;
      this.text = text;
      this.start = start;
      this.end = end;
      this.score = score;
    }
  }

  /** One of the intents that a text may have, and its probability, whatever its slots. */
  public static final class Alternative {
    public final String intent;
    public final double score;

    Alternative(String intent, double score) {
      this.intent = intent;
      this.score = score;
    }
  }

  /** The meaning of a text. */
  public static final class Answer {
    public final String intent;
    /** Probability that intent and slots are right, where calibrated; else the softmax of the intent. */
    public final double score;
    public final boolean calibrated;
    /** Probability that the text is of the parser's kind; NaN where that is not known. */
    public final double inScope;
    /** Whether the least score was not reached: intent and slots are a guess. */
    public final boolean rejected;
    public final List<Slot> slots;
    /** The most probable intents, that of the answer first, where they were asked for. */
    public final List<Alternative> alternatives;
    /** Whether the end of the text was left out. */
    public final boolean truncated;
    /** Words that were read. */
    public final int words;

    Answer(String text, Object[] parts) {
      final int[] numbers = (int[]) parts[0];
      final double[] scores = (double[]) parts[1];
      intent = name(parts[2]);
      score = scores[0];
      inScope = scores[1] < 0 ? Double.NaN : scores[1];
      words = numbers[1];
      truncated = numbers[2] != 0;
      calibrated = numbers[3] != 0;
      rejected = numbers[4] != 0;
      final int count = numbers[5];
      final List<Slot> slots = new ArrayList<>(count);
      for (int i = 0, point = 0, unit = 0; i < count; ++i) {
        final int at = HEAD + PER_SLOT * i;
        final int start = text.offsetByCodePoints(unit, numbers[at + 2] - point);
        unit = text.offsetByCodePoints(start, numbers[at + 3] - numbers[at + 2]);
        point = numbers[at + 3];
        final double score = scores[2 + i] < 0 ? Double.NaN : scores[2 + i];
        slots.add(new Slot(name(parts[3 + i]), text.substring(start, unit), start, unit, score));
      }
      final List<Alternative> alternatives = new ArrayList<>(numbers[6]);
      for (int i = 0; i < numbers[6]; ++i) {
        alternatives.add(new Alternative(name(parts[3 + count + i]), scores[2 + count + i]));
      }
      this.slots = Collections.unmodifiableList(slots);
      this.alternatives = Collections.unmodifiableList(alternatives);
    }
  }

  /** Least score: the threshold that the parser's calibration recommends. */
  public static final double RECOMMENDED = -1;

  private static final int HEAD = 7;
  private static final int PER_SLOT = 4;

  static {
    System.loadLibrary("PREFIX");
  }

  private long handle = open();

  /** Parse a text; one that is too long is refused with an IllegalArgumentException. */
  public Answer parse(String text) {
    return parse(text, false, 0);
  }

  /**
   * Parse a text.
   *
   * @param truncate Whether to read what fits of a text that is too long, instead of refusing it.
   * @param alternatives How many of the most probable intents to name, at most 64.
   */
  public synchronized Answer parse(String text, boolean truncate, int alternatives) {
    return new Answer(text, parse(opened(), text.getBytes(StandardCharsets.UTF_8), truncate, alternatives));
  }

  /** Answer what is less probable with {@code rejected}: a score from 0 to 1, or RECOMMENDED. */
  public synchronized void setMinScore(double least) {
    setLeast(opened(), least);
  }

  /** Give the memory back; closing twice is fine. */
  @Override
  public synchronized void close() {
    final long closing = handle;
    handle = 0;
    close(closing);
  }

  private long opened() {
    if (handle == 0) throw new IllegalStateException("the parser is closed");
    return handle;
  }

  private static String name(Object bytes) {
    return new String((byte[]) bytes, StandardCharsets.UTF_8);
  }

  private static native long open();

  private static native void close(long handle);

  private static native void setLeast(long handle, double least);

  private static native Object[] parse(long handle, byte[] text, boolean truncate, int alternatives);
}
